"""The matrix of other people's programs: real calls in both directions, with each codec both know, over each transport.

    python -m tests.interop                  run it all, say how each cell went
    python -m tests.interop baresip tls      the cells whose names hold all these words
    python -m tests.interop --save           and write docs/interop.json and the tables of docs/interop.md

cells      what there is, and the reasons for what there is not
sound      what is said, and the judgement of what was heard
phone      what a scene asks of a peer: call, be called, hold, resume, hang up
baresip, linphone, sipp, streams, proxy        the peers
scenes     what happens in a cell
running    many cells at once; results as JSON
table      results as Markdown
"""
