import { describe, expect, it } from 'vitest'
import { parseSimOptions, replayCommand } from '../../src/testing/cli/options.ts'
import type { SimOptions } from '../../src/testing/cli/options.ts'

const parse = (line: string) => parseSimOptions(line.split(' ').filter(Boolean), 2)
const options = (line: string): SimOptions => {
  const parsed = parse(line)
  if (parsed.kind !== 'run') throw new Error(`not run: ${JSON.stringify(parsed)}`)
  return parsed.options
}
const problems = (line: string): readonly string[] => {
  const parsed = parse(line)
  return parsed.kind === 'wrong' ? parsed.problems : []
}

describe('npm run sim', () => {
  it('has defaults for everything', () => {
    expect(options('')).toEqual({
      scenario: 'storm',
      faults: [],
      nodes: 20,
      seeds: 50,
      firstSeed: 1,
      model: 'core',
      stormSeconds: undefined,
      maxLinks: 8,
      trace: false,
      workers: 2,
    })
  })

  it('reads flags in both spellings, and traces a single seed by default', () => {
    expect(options('--nodes 50 --seeds=200 --model scalar')).toMatchObject({
      nodes: 50,
      seeds: 200,
      model: 'scalar',
    })
    expect(options('--seed 7')).toMatchObject({ seeds: 1, firstSeed: 7, trace: true, workers: 1 })
    expect(options('--seed 7 --no-trace').trace).toBe(false)
    expect(parse('--nodes x --help').kind).toBe('help')
  })

  it('reads the faults of a storm, several too', () => {
    expect(options('--fault freeze --fault=sleep')).toMatchObject({ faults: ['freeze', 'sleep'] })
  })

  it('reads what large rooms are: formed clusters, and crowds that join', () => {
    expect(options('--scenario overlay --seeds 100 --joins 3')).toMatchObject({
      scenario: 'overlay',
      nodes: 1_000,
      seeds: 100,
      joins: 3,
      workers: 2,
    })
    const crowd = options('--scenario overlay --nodes 60 --seed 7 --joins 1')
    expect(crowd).toMatchObject({ seeds: 0, joins: 1, firstSeed: 7, trace: true, workers: 1 })
    expect(replayCommand(crowd, 7, 'join')).toBe(
      'npm run sim -- --scenario overlay --nodes 60 --seed 7 --joins 1',
    )
    expect(replayCommand(crowd, 7, 'cluster')).toBe('npm run sim -- --scenario overlay --nodes 60 --seed 7')
    expect(problems('--joins 3')[0]).toMatch(/--joins is for --scenario overlay/)
    expect(problems('--scenario overlay --seed 7 --joins 2')[0]).toMatch(/--joins is 0 or 1/)
    expect(problems('--scenario overlay --model core')[0]).toMatch(/--model is not for/)
  })

  it('spreads the hours of a detection run over rooms of half an hour', () => {
    expect(options('--scenario detection')).toEqual({
      scenario: 'detection',
      models: ['core', 'plain-swim'],
      baselineSeeds: 2,
      nodes: 100,
      seeds: 2,
      firstSeed: 1,
      hoursEach: 0.5,
      throttledShare: 0,
      throttle: 'timers',
      limits: {},
      maxLinks: 8,
      trace: false,
      workers: 2,
    })
    expect(options('--scenario detection --hours 10 --throttled 0.2 --throttle slow')).toMatchObject({
      seeds: 20,
      hoursEach: 0.5,
      throttledShare: 0.2,
      throttle: 'slow',
    })
    expect(options('--scenario detection --hours 1 --seeds 4 --model core')).toMatchObject({
      seeds: 4,
      hoursEach: 0.25,
      models: ['core'],
    })
    expect(options('--scenario detection --hours 10 --baseline 0.1')).toMatchObject({ baselineSeeds: 2 })
    expect(options('--scenario detection --max-false 0.01 --max-p99 4000')).toMatchObject({
      limits: { falsePerHour: 0.01, p99Ms: 4_000 },
    })
    expect(options('--scenario detection --baseline 0')).toMatchObject({ models: ['core'] })
  })

  it.each([
    ['--nodes', /--nodes must be a whole number from 1 to 2000, got nothing/],
    ['--nodes 0', /got '0'/],
    ['--seeds 1.5', /--seeds must be a whole number/],
    ['--model raft', /--model must be core, scalar or plain-swim, got 'raft'/],
    ['--model plain-swim', /plain-swim is for --scenario detection/],
    ['--scenario detection --model scalar', /scalar is for --scenario storm/],
    ['--scenario detection --fault freeze', /--fault is for --scenario storm/],
    ['--hours 1', /--hours is for --scenario detection/],
    ['--scenario detection --throttled 1.5', /--throttled must be a number from 0 to 1, got '1.5'/],
    ['--scenario detection --baseline 0.5 --model core', /exclude each other/],
    ['--fault gremlins', /--fault must be meta, .* or [a-z-]+, got 'gremlins'/],
    ['--frobnicate', /'--frobnicate' is no flag/],
    ['12', /'12' is no flag/],
    ['--seed 1 --seeds 2', /leave out --seeds/],
    ['--trace', /--trace prints one run/],
  ])('names what is wrong with %s', (line, message) => {
    expect(problems(line).join('\n')).toMatch(message)
  })

  it('names every wrong flag at once', () => {
    expect(problems('--nodes x --seeds y --zzz')).toHaveLength(3)
  })

  it('prints a command that parses to the same run', () => {
    const failing = options('--nodes 30 --seeds 100 --max-links 8 --model scalar')
    const command = replayCommand(failing, 77).replace('npm run sim -- ', '')
    expect(options(command)).toMatchObject({
      nodes: 30,
      maxLinks: 8,
      model: 'scalar',
      firstSeed: 77,
      seeds: 1,
    })
  })

  it('prints a command for one room of a detection run', () => {
    const line = '--scenario detection --nodes 30 --hours 2 --throttled 0.2 --throttle slow'
    const command = replayCommand(options(line), 9, 'core').replace('npm run sim -- ', '')
    expect(options(command)).toMatchObject({
      scenario: 'detection',
      nodes: 30,
      firstSeed: 9,
      seeds: 1,
      models: ['core'],
      hoursEach: 0.5,
      throttledShare: 0.2,
      throttle: 'slow',
    })
  })
})
