# Prints how many segments rtamt's discrete online monitor evaluates in each second of processor time.
import sys, time
import rtamt

window, segments = int(sys.argv[1]), int(sys.argv[2])
value = lambda index: ((index * 2654435761 % 2**64 >> 7) % 10007) / 1000
spec = rtamt.StlDiscreteTimeSpecification()
spec.declare_var("x", "float")
spec.spec = f"always[0:{window}](eventually[0:{window}](x <= 5.0))"
spec.parse()
spec.pastify()
values = [value(index) for index in range(segments)]
before = time.process_time()
for index, x in enumerate(values):
    spec.update(index, [("x", x)])
print(segments / (time.process_time() - before))
