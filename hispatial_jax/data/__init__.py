"""Records on disk and the pipeline that turns them into batches."""
