import { describe, expect, it } from 'vitest'
import { ChangeLog, LOCAL } from '../../../src/core/membership/change-log.ts'

const nodesSince = (log: ChangeLog, revision: number) => log.since(revision)?.map(({ nodeId }) => nodeId)

describe('ChangeLog', () => {
  it('gives the changes after a revision, oldest first', () => {
    const log = new ChangeLog()
    expect(log.since(0)).toEqual([])
    for (const nodeId of ['a', 'b', 'a']) log.push(nodeId, 4, LOCAL)
    expect(log.revision).toBe(3)
    expect(nodesSince(log, 0)).toEqual(['a', 'b', 'a'])
    expect(nodesSince(log, 2)).toEqual(['a'])
    expect(log.since(3)).toEqual([])
    expect(log.since(9)).toEqual([])
    expect(log.since(1)![0]).toEqual({
      revision: 2,
      nodeId: 'b',
      from: 4,
      via: LOCAL,
      isRefutation: false,
      alsoVia: new Set(),
    })
  })

  it('says when what is asked for is forgotten', () => {
    const log = new ChangeLog()
    for (const nodeId of ['a', 'b', 'c']) log.push(nodeId, 0, LOCAL)
    log.forget(2)
    expect(log.since(1)).toBeUndefined()
    expect(nodesSince(log, 2)).toEqual(['c'])
    log.forget(1)
    log.forget(-5)
    expect(nodesSince(log, 2)).toEqual(['c'])
    log.forget(100)
    expect(log.since(3)).toEqual([])
    expect(log.revision).toBe(3)
  })

  it('stays bounded without anyone asking', () => {
    const log = new ChangeLog()
    for (let i = 1; i <= 50_000; i++) log.push(`n${i}`, 0, LOCAL)
    expect(log.since(0)).toBeUndefined()
    const kept = log.since(50_000 - 2_000)!
    expect(kept).toHaveLength(2_000)
    expect(kept.at(-1)!.revision).toBe(50_000)
    expect(log.since(50_000 - 4_100)).toBeUndefined()
  })

  it('marks the newest change of a member as brought by more links', () => {
    const log = new ChangeLog()
    log.push('a', 0, 1)
    log.push('a', 1, 2)
    log.alsoFrom('a', 3)
    log.alsoFrom('unknown', 3)
    expect(log.since(0)).toMatchObject([{ alsoVia: new Set() }, { alsoVia: new Set([3]) }])
    log.forget(2)
    log.alsoFrom('a', 4)
    expect(log.since(2)).toEqual([])
  })
})
