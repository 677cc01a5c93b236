"""The units lane: what the two LoadMasters of a pair are set to, looked at and brought about.

`lane` is the visit, `writing` carries out changes, `switching` hands over on request, `model` has what a
visit carries along and what the lane needs of its neighbours.
"""
