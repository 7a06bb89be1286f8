from ferrometer._runtime.settings import *
