"""Does the upgrade gate raise false alarms, and does it find faults of a known size?

``power`` runs real gates and logs them in ``power_logs``; ``rivals`` judges the same pairs by other
tools' rules; ``simulation`` draws the error rates of all of them from noise models.
"""
