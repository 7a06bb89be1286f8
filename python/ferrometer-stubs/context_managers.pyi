from .timing import ExceptionCounter as ExceptionCounter
from .timing import InprogressTracker as InprogressTracker
from .timing import Timer as Timer
