from ferrometer.http.route_template import *
