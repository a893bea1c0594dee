"""What a finished (or running) v2 job left in the bucket: its features, where their outputs lie, what failed.

`batch.BatchResults` is the way in; `bucket.BucketReader` fetches files, `manifest` and `execution` read them, `root`
says where they are. Nothing here imports Airflow, and an S3 library only when a real S3 is read.
"""
