/** Every way in which the core ends a call has a code that users know, and a sentence that tells what to do. */
import { describe, expect, it } from 'vitest'
import { callError } from '../../src/cluster/call-errors.ts'
import type { CallError, CallErrorCode } from '../../src/core/rpc/call.ts'
import type { ClusterErrorCode } from '../../src/errors.ts'
import { encodeFault } from '../../src/grains/faults.ts'

const CODES: Readonly<Record<CallErrorCode, ClusterErrorCode>> = {
  failed: 'grain-threw',
  'activation-failed': 'activation-failed',
  'queue-full': 'queue-full',
  'too-many-calls': 'queue-full',
  'records-full': 'queue-full',
  deadline: 'deadline',
  aborted: 'aborted',
  superseded: 'aborted',
  'call-too-old': 'call-too-old',
  'outcome-lost': 'outcome-lost',
  deadlock: 'deadlock',
  'chain-too-long': 'chain-too-long',
  'unknown-kind': 'unknown-kind',
  'state-limit': 'state-limit',
  'too-large': 'too-large',
  'invalid-name': 'invalid-value',
  'invalid-deadline': 'invalid-option',
  'version-mismatch': 'version-mismatch',
}

const call = { kind: 'counter', key: 'likes', method: 'add' }
const versions = { version: 2, accepts: [2] }
const ended = (code: CallErrorCode, more: Partial<CallError> = {}, ms = 303.4, isHosted = true) =>
  callError(
    { type: 'error', code, attempts: 1, mayHaveRun: false, ms: 1, ...more },
    { ...call, bytes: 1_048_577, deadlineMs: 300, ms, abortedBy: undefined, versions, isHosted },
  )

describe('the end of a call', () => {
  it.each(Object.entries(CODES))('%s is told as %s', (code, as) => {
    const error = ended(code as CallErrorCode, { attempts: 2, mayHaveRun: true })
    expect(error).toMatchObject({ ...call, code: as, attempts: 2, mayHaveRun: true })
    expect(error.message).toMatch(/^counter\/likes\.add: [a-z].*\.$/)
  })

  it('says whether it may have run, where that is not known from its code', () => {
    expect(ended('deadline', { mayHaveRun: true }).message).toContain(
      'within 300 ms there was no answer. It may',
    )
    expect(ended('deadline').message).toContain('It has not run')
    expect(ended('deadline', { attempts: 0 })).toMatchObject({ code: 'no-council' })
    expect(ended('deadline', { attempts: 0 }).message).toContain('in `grains` of some tab?')
    expect(ended('aborted').message).toContain('It has not run')
    const alone = ended('deadline', { attempts: 0 }, undefined, false)
    expect(alone.code).toBe('deadline')
    expect(alone.message).toContain('Nobody hosts this kind now. It was not sent.')
  })

  it('tells the deadline that was asked for, and when it was noticed where that is much later', () => {
    expect(ended('deadline', { attempts: 0 }).message).toContain('within 300 ms nobody could say')
    expect(ended('deadline', {}, 9_000.4).message).toContain('within 300 ms (noticed after 9000 ms) there')
    expect(ended('deadline', {}, 120.4).message).toContain('within the 120 ms that its caller had left there')
  })

  it('tells arguments that are too large from results that are', () => {
    expect(ended('too-large', { attempts: 0 }).message).toContain(
      'the arguments have 1048577 bytes, over their limit of 1048576',
    )
    expect(ended('too-large').message).toContain('the result is over')
  })

  it('has what the setup threw as its cause, or says what was wrong with the state', () => {
    const threw = encodeFault({ code: 'grain-threw', name: 'TypeError', message: 'no', data: 5 })
    expect(ended('activation-failed', { bytes: threw })).toMatchObject({
      code: 'activation-failed',
      cause: { name: 'TypeError', message: 'no', data: 5 },
    })
    const missing = encodeFault({ code: 'state-missing', message: 'All are gone.' })
    expect(ended('activation-failed', { bytes: missing }).code).toBe('state-missing')
    expect(ended('failed', { bytes: Uint8Array.of(1) }).code).toBe('grain-threw')
  })
})
