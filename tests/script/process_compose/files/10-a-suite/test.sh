#@ own: its process `e2e-tests` is the test
#@ exit: 6
#> the suite has run
