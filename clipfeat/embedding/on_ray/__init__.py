"""Embedding on Ray: tasks read and decode, actors encode and commit, the driver merges.

Blocks of records pass through two pools of Ray Data. Ray Data starts and scales the pools, and
repeats the work of a worker that died. Repeated work is harmless: a worker commits rows under its
own name, a duplicate row is read once, and the remaining work is found by content hash. Only rows
that a worker has committed are counted. The driver records failures.
"""
