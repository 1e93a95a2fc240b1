"""What finished runs prove: `statistics` by patient, `agreement` of measurements, `claims`, and the `page`."""
