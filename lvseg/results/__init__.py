"""What finished runs prove: `statistics` by patient, `claims` with verdicts, and the `page` to read."""
