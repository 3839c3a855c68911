# A sound designer: takes to choose from, the chosen one ready for the project, one span of it anew.
latentfoley generate "a dog barking" -n 4 --duration 3 --page takes.html -o takes/
latentfoley generate "a dog barking" --index 2 --duration 3 --trim --fade-out 0.05 --normalise -23 --rate 48000 --channels 2 -o dog.wav
latentfoley info dog.wav
latentfoley edit inpaint dog.wav "a dog barking" --from 0.2 --to 0.6 --normalise -23 --rate 48000 --channels 2 -o dog-2.wav
