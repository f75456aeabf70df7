import { cp, mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { buildDemo, buildE2ePages } from '../../scripts/demo.mjs'
import { demoFolder, e2ePagesFolder } from '../../scripts/support/paths.mjs'

/**
 * Builds the demo and the specs' own pages once, and gives this run its own copy, so that a build beside it does not
 * change what is being tested. Returns the way to clean up.
 */
export default async function setUp(): Promise<() => Promise<void>> {
  await buildDemo()
  await buildE2ePages()
  const copy = await mkdtemp(path.join(os.tmpdir(), 'grainmesh-e2e-'))
  await cp(demoFolder, path.join(copy, 'demo'), { recursive: true })
  await cp(e2ePagesFolder, path.join(copy, 'e2e'), { recursive: true })
  process.env['GRAINMESH_E2E_SITE'] = copy
  return () => rm(copy, { recursive: true, force: true })
}
