/** examples/autosave.ts: one tab saves for all, and another one goes on. */
import { expect, it } from 'vitest'
import { autosave, saveWhoeverGoes, type Batch } from '../../examples/autosave.ts'
import type { HostRoom } from '../cluster/host-room.ts'
import { exampleRoom, type ExampleRoom } from './support.ts'

const EVERY_MS = 5_000

interface Saved extends Batch {
  readonly by: string
  readonly at: number
}

/** Tabs whose pages save into one list; `before` runs in front of each save, in the tab that saves. */
async function savingRoom(size: number, before: (tab: number) => Promise<void> = () => Promise.resolve()) {
  const saved: Saved[] = []
  const kinds = Array.from({ length: size }, (_, i) =>
    autosave({
      everyMs: EVERY_MS,
      tab: () => `tab ${i}`,
      async save(batch) {
        await before(i)
        saved.push({ ...batch, by: `tab ${i}`, at: Date.now() })
      },
    }),
  )
  const example: ExampleRoom = await exampleRoom(size, (i) => [kinds[i]!], size > 3)
  return { ...example, saved, Autosave: kinds[0]! }
}

const runPastOne = (room: HostRoom): Promise<void> => room.run(EVERY_MS + 500)

it('saves what all tabs have edited, in order, by one tab, no more often than it should', async () => {
  const { room, tabs, saved, Autosave } = await savingRoom(3)
  const documents = tabs.map(({ host }) => host.grain(Autosave, 'letter'))
  for (let n = 1; n <= 30; n++) {
    await room.settled(documents[n % 3]!.edit(`edit ${n}`))
    await room.run(400)
  }
  await runPastOne(room)
  expect(saved.flatMap(({ edits }) => edits)).toEqual(Array.from({ length: 30 }, (_, i) => `edit ${i + 1}`))
  expect(new Set(saved.map(({ by }) => by)).size).toBe(1)
  const pauses = saved.slice(1).map(({ at }, i) => at - saved[i]!.at)
  expect(Math.min(...pauses)).toBeGreaterThanOrEqual(EVERY_MS - 50)
  const status = await room.settled(documents[0]!.status())
  expect(status).toEqual({ saver: saved[0]!.by, revision: 30, saved: 30, problem: null })
})

it('saves nothing where nothing has changed', async () => {
  const { room, tabs, saved, Autosave } = await savingRoom(2)
  await room.settled(tabs[0]!.host.grain(Autosave, 'letter').edit('only one'))
  await room.run(4 * EVERY_MS)
  expect(saved).toMatchObject([{ document: 'letter', edits: ['only one'], revision: 1 }])
})

it('tries a batch again where saving fails, with what has come since', async () => {
  let failures = 2
  const { room, tabs, saved, Autosave } = await savingRoom(2, async () => {
    if (failures-- > 0) throw new Error('the server is away')
  })
  const document = tabs[0]!.host.grain(Autosave, 'letter')
  await room.settled(document.edit('one'))
  await runPastOne(room)
  expect(await room.settled(document.edit('two'))).toMatchObject({
    revision: 2,
    saved: 0,
    problem: 'Error: the server is away',
  })
  await room.run(2 * EVERY_MS)
  expect(saved).toMatchObject([{ edits: ['one', 'two'], revision: 2 }])
})

it('takes edits while it saves, also of the tab that saves', async () => {
  let open = (): void => {}
  const { room, tabs, saved, Autosave } = await savingRoom(
    3,
    () => new Promise((resolve) => (open = resolve)),
  )
  await room.settled(tabs[0]!.host.grain(Autosave, 'letter').edit('edit 1'))
  await runPastOne(room)
  for (const [i, { host }] of tabs.entries()) {
    const edit = host.grain(Autosave, 'letter').edit(`edit ${i + 2}`)
    expect(await room.settled(edit, 1_000)).toMatchObject({ revision: i + 2, saved: 0 })
  }
  await room.run(2 * EVERY_MS)
  expect(saved, 'one save at a time').toEqual([])
  open()
  await runPastOne(room)
  open()
  await room.run(500)
  expect(saved.map(({ edits }) => edits)).toEqual([['edit 1'], ['edit 2', 'edit 3', 'edit 4']])
})

it('is done by another tab after the one that saves is lost, with what was not saved', async () => {
  const { room, tabs, saved, loseHost, Autosave } = await savingRoom(4)
  await room.settled(tabs[1]!.host.grain(Autosave, 'letter').edit('one'))
  await runPastOne(room)
  await room.settled(tabs[1]!.host.grain(Autosave, 'letter').edit('two'))
  const left = loseHost()
  // what `saveWhoeverGoes` does in every tab when the member is gone
  let onStatus = (_event: { to: string }): void => {}
  const cluster = { on: (_type: string, listener: never) => ((onStatus = listener), () => {}) }
  saveWhoeverGoes(cluster as never, left[0]!.host.grain(Autosave, 'letter'))
  onStatus({ to: 'unreachable' })
  await room.run(15_000)
  await runPastOne(room)
  expect(saved).toMatchObject([
    { edits: ['one'], revision: 1 },
    { edits: ['two'], revision: 2 },
  ])
  expect(saved[1]!.by).not.toBe(saved[0]!.by)
})

it('saves a batch again where its tab is lost while it saves, and says which it is', async () => {
  const begun: number[] = []
  const { room, tabs, saved, loseHost, Autosave } = await savingRoom(4, async (tab) => {
    begun.push(tab)
    // the first one never comes back from the server
    if (begun.length === 1) await new Promise<void>(() => {})
  })
  await room.settled(tabs[1]!.host.grain(Autosave, 'letter').edit('one'))
  await runPastOne(room)
  expect(begun).toHaveLength(1)
  const left = loseHost()
  await room.settled(left[0]!.host.grain(Autosave, 'letter').status())
  await runPastOne(room)
  expect(saved).toMatchObject([{ edits: ['one'], revision: 1 }])
  expect(saved[0]!.by).not.toBe(`tab ${begun[0]}`)
})
