# A researcher: a model scored on a data set with captions, the same with other settings, as JSON.
latentfoley data prepare captioned prepared --held-out 0.5
latentfoley evaluate tiny prepared --limit 10 --duration 2 --json first.json --html first.html
latentfoley evaluate tiny prepared --limit 10 --duration 2 --guidance 2 --json second.json
