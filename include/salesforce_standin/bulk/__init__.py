"""Bulk API 2.0 and Bulk API 1.0: the same jobs and batches, spelled in two ways."""
