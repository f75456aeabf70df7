import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { root } from '../../scripts/support/paths.mjs'

interface LockedPackage {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

// A lock file written while a registry lacked the builds for other platforms makes `npm ci` fail on a fresh machine.
it('package-lock.json names every dependency, those of other platforms included', () => {
  const lock = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, LockedPackage>>
  }
  const names = new Set(Object.keys(lock.packages).map((folder) => folder.split('node_modules/').at(-1)))
  const missing = Object.entries(lock.packages).flatMap(([folder, { dependencies, optionalDependencies }]) =>
    Object.keys({ ...dependencies, ...optionalDependencies })
      .filter((name) => !names.has(name))
      .map((name) => `${name}, which ${folder} needs`),
  )
  expect(names.size).toBeGreaterThan(100)
  expect(missing).toEqual([])
})
