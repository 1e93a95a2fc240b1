"""Virtual patients: hearts that beat (`heart`), seen by a simulated scanner (`scanner`), as data sets (`cohort`)."""
