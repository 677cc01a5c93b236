"""The load balancers' traffic: probes, flows, address translation, security rules, for real.

The data plane is a process of its own, so that neither the work of ARM disturbs the rhythm of the probes nor
traffic the answers of ARM. What happens in which room:

* `topology` derives from the stored resources what is to be served (`configuration`, plain data), with the
  security groups worked out by `security_groups`; `plane` sends it to the child process and keeps what the
  child reports. These run in the emulator's process.
* `worker` is the child: one thread, one `reactor`. `prober` asks the members and keeps a `probe_state` each;
  `selection` chooses a member for a flow; `listeners`, `flows` and `datagrams` carry the traffic on sockets
  from `sockets`; `admission` says whose connections are not even answered.

Only the standard library is used in the child, and nothing of ARM.
"""
