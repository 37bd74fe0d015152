import collections

C = collections.Counter()
