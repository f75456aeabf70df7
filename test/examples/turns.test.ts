/** examples/turns.ts: everybody's turn, and nobody's who has gone. */
import { expect, it } from 'vitest'
import { Turns, skipWhoIsGone } from '../../examples/turns.ts'
import type { ClusterEvent, Member } from '../../src/index.ts'
import { exampleRoom } from './support.ts'

it('goes round in the order in which players came', async () => {
  const { room, tabs } = await exampleRoom(3, [Turns])
  const game = tabs[1]!.host.grain(Turns, 'game')
  for (const player of ['ada', 'grace', 'edsger', 'ada']) await room.settled(game.join(player))
  expect(await room.settled(game.read())).toEqual({
    players: ['ada', 'grace', 'edsger'],
    turn: 'ada',
    number: 1,
  })
  const seen: (string | null)[] = []
  for (const player of ['ada', 'grace', 'edsger', 'ada']) {
    seen.push((await room.settled(game.next(player))).turn)
  }
  expect(seen).toEqual(['grace', 'edsger', 'ada', 'grace'])
})

it('ends one turn however often it is pressed, and only by whose turn it is', async () => {
  const { room, tabs } = await exampleRoom(2, [Turns])
  const [one, two] = tabs.map(({ host }) => host.grain(Turns, 'game'))
  for (const player of ['ada', 'grace', 'edsger']) await room.settled(one!.join(player))
  await room.settled(Promise.all([one!.next('ada'), two!.next('ada'), one!.next('edsger')]))
  expect(await room.settled(one!.read())).toMatchObject({ turn: 'grace', number: 2 })
})

it('skips who has left, also in the middle of their turn', async () => {
  const { room, tabs } = await exampleRoom(2, [Turns])
  const game = tabs[0]!.host.grain(Turns, 'game')
  for (const player of ['ada', 'grace', 'edsger']) await room.settled(game.join(player))
  await room.settled(game.leave('grace'))
  expect(await room.settled(game.next('ada'))).toMatchObject({ turn: 'edsger' })
  expect(await room.settled(game.leave('edsger'))).toMatchObject({ turn: 'ada', number: 3 })
  expect(await room.settled(game.next('ada')), 'alone it is always her turn').toMatchObject({ turn: 'ada' })
  expect(await room.settled(game.leave('ada'))).toMatchObject({ turn: null, players: [] })
})

it('goes on after its host is lost in the middle of a round', async () => {
  const { room, tabs, loseHost } = await exampleRoom(4, [Turns], true)
  const game = tabs[0]!.host.grain(Turns, 'game')
  for (const player of ['ada', 'grace', 'edsger']) await room.settled(game.join(player))
  await room.settled(game.next('ada'))
  const [left] = loseHost()
  expect(await room.settled(left!.host.grain(Turns, 'game').next('grace'))).toEqual({
    players: ['ada', 'grace', 'edsger'],
    turn: 'edsger',
    number: 3,
  })
})

it('takes a member that is removed out of the game, by whoever sees it, but not one that is back', async () => {
  const { room, tabs } = await exampleRoom(3, [Turns])
  const games = tabs.map(({ host }) => host.grain(Turns, 'game'))
  for (const player of ['ada', 'grace', 'edsger']) await room.settled(games[0]!.join(player))
  const listeners: ((event: Extract<ClusterEvent, { type: 'member-status' }>) => void)[] = []
  const members = [{ authority: 'grace' } as Member]
  const cluster = {
    members: { get: () => members, subscribe: () => () => {} },
    on: (_type: string, listener: (event: never) => void) => {
      listeners.push(listener as never)
      return () => {}
    },
  }
  for (const game of games) skipWhoIsGone(cluster as never, game)
  for (const authority of ['ada', 'grace']) {
    for (const listener of listeners) {
      listener({ nodeId: `${authority}.1.x`, from: 'unreachable', to: 'removed', reason: '' } as never)
    }
  }
  await room.run(1_000)
  expect(await room.settled(games[0]!.read())).toMatchObject({
    players: ['grace', 'edsger'],
    turn: 'grace',
    number: 2,
  })
})
