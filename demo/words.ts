/** Word lists for names and rooms that people can read to each other. */
const QUALITIES = [
  'Amber', 'Bold', 'Brisk', 'Calm', 'Clever', 'Coral', 'Dapper', 'Dusky', 'Gentle', 'Jolly', 'Keen', 'Lively',
  'Lucky', 'Mellow', 'Merry', 'Misty', 'Nimble', 'Noble', 'Plucky', 'Proud', 'Quiet', 'Rusty', 'Sage', 'Silver',
  'Snug', 'Sunny', 'Swift', 'Tiny', 'Velvet', 'Warm', 'Wily', 'Zesty',
] // prettier-ignore
const ANIMALS = [
  'Badger', 'Bison', 'Crane', 'Dormouse', 'Falcon', 'Finch', 'Fox', 'Gecko', 'Hare', 'Heron', 'Ibex', 'Koala',
  'Lemur', 'Llama', 'Lynx', 'Marten', 'Mole', 'Newt', 'Otter', 'Owl', 'Pika', 'Puffin', 'Quail', 'Raven', 'Robin',
  'Seal', 'Shrew', 'Stoat', 'Stork', 'Tapir', 'Toad', 'Wren',
] // prettier-ignore
const PLACES = [
  'barn', 'bay', 'brook', 'canyon', 'cove', 'delta', 'dune', 'field', 'fjord', 'garden', 'glade', 'grove', 'harbor',
  'heath', 'hill', 'island', 'lagoon', 'lake', 'marsh', 'meadow', 'mill', 'orchard', 'pond', 'prairie', 'reef',
  'ridge', 'river', 'shore', 'spring', 'terrace', 'valley', 'wood',
] // prettier-ignore

/** For example "Brisk Otter": one of 1,024. */
export const madeUpName = (): string => `${pick(QUALITIES)} ${pick(ANIMALS)}`

/** For example "misty-harbor-472": a million rooms, so that strangers rarely share one by accident. */
export const madeUpRoom = (): string =>
  `${pick(QUALITIES).toLowerCase()}-${pick(PLACES)}-${100 + Math.floor(Math.random() * 900)}`

export function pick<T>(from: readonly T[]): T {
  return from[Math.floor(Math.random() * from.length)]!
}
