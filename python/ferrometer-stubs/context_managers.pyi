from ferrometer.metrics.timers import ExceptionCounter as ExceptionCounter
from ferrometer.metrics.timers import InprogressTracker as InprogressTracker
from ferrometer.metrics.timers import Timer as Timer
