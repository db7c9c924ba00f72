"""Files, locations, memory and the Ray connection: what every other package stands on."""
