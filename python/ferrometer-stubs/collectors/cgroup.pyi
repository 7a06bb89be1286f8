from ferrometer.collectors.host.cgroup import *
