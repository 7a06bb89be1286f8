"""What the hostile programs share."""
import gc, sys, asyncio, weakref, threading, faulthandler
faulthandler.enable()
from ferrometer import CollectorRegistry, generate_latest
from ferrometer.http.middleware import MetricsMiddleware
def scope(**more):
    return {"type":"http","method":"GET","path":"/","headers":[],**more}
async def recv(): return {"type":"http.request","body":b"","more_body":False}
async def snd(m): pass
START={"type":"http.response.start","status":200,"headers":[]}
BODY={"type":"http.response.body","body":b"x"}
def drive(c):
    try:
        while True: c.send(None)
    except StopIteration: pass
class R:
    def __init__(s,p): s.path=p; s.path_format=p
