"""A Kubernetes cluster in memory: enough of the API over HTTP for the real helm and for our own client.

Objects are JSON and are not validated; what the controllers of a cluster would make of them is told by
`controllers.py`. A hub's Deployment that is available is answered for by `hub.py`.
"""
