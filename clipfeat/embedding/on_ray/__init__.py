"""Embedding on Ray: tasks read and decode, actors encode and commit, the driver merges.

Blocks of records pass through two pools of Ray Data. Ray Data starts and scales the pools, and
repeats the work of a worker that died. Repeated work does no harm, for three reasons. Each worker
writes its own files, so no two workers write to the same file. If a row was committed twice,
readers use only one of the copies. A run that resumes finds the remaining work by content hash.

The run counts only rows that a worker has committed. The driver records failures.
"""
