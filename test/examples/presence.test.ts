/** examples/presence.ts: who is here, and no ghosts. */
import { expect, it } from 'vitest'
import { Presence, SILENCE_MS, stay } from '../../examples/presence.ts'
import { exampleRoom } from './support.ts'

it('counts who says so, each once, until they leave', async () => {
  const { room, tabs } = await exampleRoom(3, [Presence])
  const [one, two] = tabs.map(({ host }) => host.grain(Presence, 'page'))
  expect(await room.settled(one!.beat('ada'))).toBe(1)
  expect(await room.settled(two!.beat('grace'))).toBe(2)
  expect(await room.settled(two!.beat('ada')), 'in two tabs, and one person').toBe(2)
  expect(await room.settled(one!.names())).toEqual(['ada', 'grace'])
  await room.settled(one!.leave('ada'))
  expect(await room.settled(two!.count())).toBe(1)
})

it('does not count who is silent for too long, nor keeps them', async () => {
  const { room, tabs } = await exampleRoom(2, [Presence])
  const page = tabs[0]!.host.grain(Presence, 'page')
  await room.settled(page.beat('ada'))
  await room.run(SILENCE_MS / 2)
  await room.settled(page.beat('grace'))
  await room.run(SILENCE_MS / 2)
  expect(await room.settled(page.names())).toEqual(['grace'])
  expect(await room.settled(page.beat('edsger'))).toBe(2)
})

it('is right again after its host is lost, without those who were in it', async () => {
  const { room, tabs, pause, host, loseHost } = await exampleRoom(4, [Presence], true)
  const counts = new Map<string, number>()
  const leaves = tabs.map(({ host }, i) =>
    stay(host.grain(Presence, 'page'), {
      name: `tab ${i}`,
      pause,
      onCount: (count) => void counts.set(`tab ${i}`, count),
    }),
  )
  await room.run(8_000)
  expect([...counts.values()]).toEqual([4, 4, 4, 4])
  const gone = tabs.indexOf(host())
  const left = loseHost()
  const page = left[0]!.host.grain(Presence, 'page')
  expect(await room.settled(page.count()), 'nobody is forgotten by the loss').toBe(4)
  await room.run(SILENCE_MS)
  expect(await room.settled(page.names())).toEqual(
    ['tab 0', 'tab 1', 'tab 2', 'tab 3'].filter((_, i) => i !== gone),
  )
  const goes = leaves.findIndex((_, i) => i !== gone)
  await room.settled(leaves[goes]!())
  await room.run(SILENCE_MS)
  expect(await room.settled(page.count())).toBe(2)
})
