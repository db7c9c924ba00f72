"""The pipeline on Ray: tasks read and decode, actors encode and commit, the driver merges.

Blocks of records go through two pools of Ray Data, which starts, feeds and grows them, and runs
again what a dead worker had in hand. Nothing depends on how often: a worker commits rows under a
name of its own, a row that is there twice is read once, and what a run still has to do is asked by
key. Only rows that a worker has committed are counted; failures are the driver's to record.
"""
