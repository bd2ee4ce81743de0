"""How long pods must serve after the request to delete them, and how long they do.

window       how long callers go on
pod_details  what is known of a pod: hooks, grace, ends of containers
hooks        what a preStop hook does
serving      when each container ends
workloads    whose pods they are
findings     whether the pods of a workload serve for the window, and in fix what to change
serving_end  when a drained pod ended serving, and what ended it; pod_end is what is published of it
verdict      whether it served until no caller used it any more
"""
