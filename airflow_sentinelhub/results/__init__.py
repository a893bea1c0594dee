"""Reads the files that a job writes into the bucket: features, paths of their outputs, and which of them failed.

Start at `v2.BatchResults` or `statistical.StatisticalResults`. `bucket.BucketReader` fetches files, `manifest` and
`execution` read them, `root` computes their URLs. Nothing here imports Airflow; boto3 is imported when S3 is read.
"""
