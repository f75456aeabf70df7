/** Finds what a TypeScript module imports, without a compiler. */

export interface Import {
  readonly specifier: string
  /** Gone after compilation: `import type` and `export type`, but not `import { type X }`, which still loads. */
  readonly typeOnly: boolean
}

/** Stands for the n-th string literal in scanned code; no source text contains it. */
const PLACEHOLDER = /\uE000(\d+)\uE001/.source

const STATIC = new RegExp(
  String.raw`\b(?:import|export)\b(\s+type\b(?!\s*,|\s+from\b))?[^;=()\uE000]*?\bfrom\s*${PLACEHOLDER}`,
  'g',
)
const BARE = new RegExp(String.raw`\bimport\s*${PLACEHOLDER}`, 'g')
const DYNAMIC = new RegExp(String.raw`\bimport\s*\(\s*${PLACEHOLDER}`, 'g')

/** Every import, re-export and dynamic import of a literal. */
export function importsOf(source: string): Import[] {
  const { code, strings } = scan(source)
  const found: Import[] = []
  const add = (index: string | undefined, typeOnly: boolean): void => {
    const specifier = strings[Number(index)]
    if (specifier !== undefined) found.push({ specifier, typeOnly })
  }
  for (const [, type, index] of code.matchAll(STATIC)) add(index, type !== undefined)
  for (const [, index] of code.matchAll(BARE)) add(index, false)
  for (const [, index] of code.matchAll(DYNAMIC)) add(index, false)
  return found
}

/** What is left of a module without its comments, imports and re-exports: nothing, if it only re-exports. */
export function ownCodeOf(source: string): string {
  return scan(source)
    .code.replaceAll(STATIC, (text) => (text.startsWith('export') ? '' : text))
    .replaceAll(/[;\s]+/g, ' ')
    .trim()
}

/** The code without comments and regular expressions, each string literal replaced by a numbered placeholder. */
function scan(source: string): { code: string; strings: string[] } {
  const strings: string[] = []
  let code = ''
  let at = 0
  /** Braces open inside each template literal's `${}` that we are in. */
  const templates: number[] = []

  const literal = (text: string): void => {
    code += `\uE000${strings.push(text) - 1}\uE001`
  }
  const template = (): void => {
    const start = at
    while (at < source.length && source[at] !== '`' && !source.startsWith('${', at))
      at += source[at] === '\\' ? 2 : 1
    literal(source.slice(start, at))
    if (source[at] === '`') at++
    else {
      at += 2
      templates.push(0)
    }
  }

  while (at < source.length) {
    const char = source[at] ?? ''
    if (source.startsWith('//', at)) at = indexAfter(source, '\n', at) - 1
    else if (source.startsWith('/*', at)) {
      at = indexAfter(source, '*/', at + 2)
      code += ' '
    } else if (char === '/' && beginsRegExp(code)) {
      at = endOfRegExp(source, at)
      code += '/r/'
    } else if (char === '"' || char === "'") {
      const end = endOfString(source, at)
      literal(source.slice(at + 1, end - 1))
      at = end
    } else if (char === '`') {
      at++
      template()
    } else if (char === '}' && templates.at(-1) === 0) {
      templates.pop()
      at++
      template()
    } else {
      if (templates.length > 0 && (char === '{' || char === '}')) {
        templates[templates.length - 1] = (templates.at(-1) ?? 0) + (char === '{' ? 1 : -1)
      }
      code += char
      at++
    }
  }
  return { code, strings }
}

function indexAfter(source: string, text: string, from: number): number {
  const index = source.indexOf(text, from)
  return index === -1 ? source.length + 1 : index + text.length
}

function endOfString(source: string, start: number): number {
  let at = start + 1
  while (at < source.length && source[at] !== source[start]) at += source[at] === '\\' ? 2 : 1
  return at + 1
}

/** After a value a slash divides, after anything else it begins a regular expression. */
function beginsRegExp(codeBefore: string): boolean {
  const before = codeBefore.trimEnd()
  return before === '' || /[(,=:[!&|?{};+\-*%<>~^]$|\b(?:return|typeof|case|in|of)$/.test(before)
}

function endOfRegExp(source: string, start: number): number {
  let inClass = false
  for (let at = start + 1; at < source.length; at++) {
    const char = source[at]
    if (char === '\\') at++
    else if (char === '[') inClass = true
    else if (char === ']') inClass = false
    else if (char === '\n' || (char === '/' && !inClass)) return at + 1
  }
  return source.length
}
