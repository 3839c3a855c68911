"""Three ways to ask for a sound: a text, a blend of texts, a recording."""

import latentfoley

model = latentfoley.load("tiny")

(dog,) = model.generate("a dog barking", seed=7)
dog.save("dog.wav")
dog.plot("dog.png")

(storm,) = model.generate({"rain": 0.6, "sea waves": 0.4}, duration_s=5.0)
storm.save("storm.flac")

(again,) = model.generate(audio_prompt="dog.wav", candidates=4)
again.save("another-dog.ogg")
print(f"CLAP says {again.score:.2f}")
