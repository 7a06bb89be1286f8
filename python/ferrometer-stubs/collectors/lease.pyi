from ferrometer.sharing.lease import *
