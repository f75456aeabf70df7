/** Arguments and results against the schemas of a kind. */
import { ClusterError } from '../errors.ts'
import type { Issue } from '../errors.ts'
import type { SchemaIssue, StandardSchema } from './types.ts'

/**
 * What the schemas make of the arguments, one schema for each.
 * @throws ClusterError `invalid-arguments` with all issues, or if there are more arguments than schemas
 */
export async function checkArguments(
  schemas: readonly StandardSchema[],
  args: readonly unknown[],
): Promise<unknown[]> {
  const issues: Issue[] = []
  const checked: unknown[] = []
  for (const [i, schema] of schemas.entries())
    checked.push(await check(schema, args[i], `args[${i}]`, issues))
  if (args.length > schemas.length) {
    issues.push({ path: `args[${schemas.length}]`, message: `At most ${schemas.length} arguments are taken` })
  }
  if (issues.length > 0) throw failure('invalid-arguments', issues)
  // an argument that was left out stays out, unless its schema made one
  while (checked.length > args.length && checked.at(-1) === undefined) checked.pop()
  return checked
}

/** @throws ClusterError `invalid-result` */
export async function checkResult(schema: StandardSchema, result: unknown): Promise<unknown> {
  const issues: Issue[] = []
  const checked = await check(schema, result, 'result', issues)
  if (issues.length > 0) throw failure('invalid-result', issues)
  return checked
}

async function check(
  schema: StandardSchema,
  value: unknown,
  what: string,
  issues: Issue[],
): Promise<unknown> {
  const given = await schema['~standard'].validate(value)
  if (given.issues === undefined) return given.value
  for (const issue of given.issues) issues.push({ path: pathOf(what, issue), message: issue.message })
  return undefined
}

function pathOf(what: string, { path = [] }: SchemaIssue): string {
  return path.reduce<string>((text, step) => {
    const key = typeof step === 'object' ? step.key : step
    return typeof key === 'number' ? `${text}[${key}]` : `${text}.${String(key)}`
  }, what)
}

function failure(code: 'invalid-arguments' | 'invalid-result', issues: readonly Issue[]): ClusterError {
  const text = issues.slice(0, 3).map(({ path, message }) => `${path}: ${message}`)
  const more = issues.length > 3 ? `; and ${issues.length - 3} more` : ''
  return new ClusterError(code, `${text.join('; ')}${more}`, { issues })
}
