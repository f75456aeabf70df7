/** When the council of the other side of a partition is followed: not for accusations that are about to be refuted. */
import { beforeEach, describe, expect, it } from 'vitest'
import { Council } from '../../../src/core/council/council.ts'
import type { PublishedCouncil } from '../../../src/core/council/published-council.ts'

const OURS = 'oooooooooooooooo.0'
const THEIRS = 'tttttttttttttttt.1'
const [A, B, C, D, SELF] = ['a', 'b', 'c', 'd', 's'].map((letter) => letter.repeat(16)) as [
  string,
  string,
  string,
  string,
  string,
]

describe('where two councils meet, that of the other side', () => {
  let mono: number
  let live: Set<string>
  /** Since when each is lost. */
  let lost: Map<string, number>
  let published: Map<string, PublishedCouncil>
  let council: Council

  const now = () => ({ mono, wall: mono })
  const ours = { group: OURS, index: 9, leads: 0, voters: [A, B, C] }
  const theirs = { group: THEIRS, index: 20, leads: 1, voters: [D] }

  function lose(since: number, ...processes: readonly string[]): void {
    for (const process of processes) {
      live.delete(process)
      published.delete(process)
      lost.set(process, since)
    }
  }

  function meetOthers(): void {
    live.add(D)
    published.set(D, theirs)
    council.notice(now())
  }

  beforeEach(() => {
    mono = 10_000
    live = new Set([A, B, C, SELF])
    lost = new Map()
    published = new Map([A, B, C].map((process) => [process, ours]))
    council = new Council({
      self: SELF,
      random: () => 0.5,
      seats: () => [...live].map((process) => ({ process, browser: process, standby: 0, upSince: 0 })),
      candidates: () => [],
      hasEnded: (process) => lost.get(process) === -Infinity,
      lostFor: (process) => mono - (lost.get(process) ?? mono),
      published: () => published,
      publish: () => undefined,
      send: () => undefined,
      onEntries: () => undefined,
      onDecided: () => undefined,
    })
    council.notice(now())
    expect(council.group).toBe(OURS)
  })

  it('is not followed while most voters of ours were lost this moment, by its word', () => {
    lose(mono, B, C)
    meetOthers()
    expect(council.group).toBe(OURS)
    mono += 400
    for (const process of [B, C]) {
      live.add(process)
      published.set(process, ours)
      lost.delete(process)
    }
    council.notice(now())
    mono += 60_000
    council.tick(now())
    expect(council.group).toBe(OURS)
  })

  it('is followed once they were lost for a second, by itself', () => {
    lose(mono, B, C)
    meetOthers()
    expect(council.nextDeadline()).toBe(mono + 1_000)
    mono += 999
    council.tick(now())
    expect(council.group).toBe(OURS)
    mono += 1
    council.tick(now())
    expect(council.group).toBe(THEIRS)
  })

  it('is followed at once where they were lost before', () => {
    lose(mono, B, C)
    council.notice(now())
    mono += 3_000
    council.tick(now())
    expect(council.group).toBe(OURS)
    meetOthers()
    expect(council.group).toBe(THEIRS)
  })

  it('is followed at once where they are gone for good', () => {
    lose(-Infinity, B, C)
    meetOthers()
    expect(council.group).toBe(THEIRS)
  })

  it('is followed at once where they vote in it, whoever else has just been lost', () => {
    lose(mono, A)
    for (const process of [B, C]) published.set(process, { ...theirs, voters: [B, C, D] })
    council.notice(now())
    expect(council.group).toBe(THEIRS)
  })

  it('is held off for a second at most by voters that are neither up nor lost', () => {
    for (const process of [B, C]) {
      live.delete(process)
      published.delete(process)
    }
    meetOthers()
    expect(council.group).toBe(OURS)
    mono += 1_000
    council.tick(now())
    expect(council.group).toBe(THEIRS)
  })

  it('is not held off by voters that were never met', () => {
    published = new Map([[A, { ...ours, voters: [A, 'y'.repeat(16), 'z'.repeat(16)] }]])
    live = new Set([A, SELF])
    council.notice(now())
    meetOthers()
    expect(council.group).toBe(THEIRS)
  })
})
