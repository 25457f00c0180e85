/** Progress. One line that is rewritten on a terminal; elsewhere only the lines that are final. */

export interface Progress {
  /** What is going on. */
  update(text: string): void
  /** What is over, kept on the screen. */
  done(text: string): void
}

export function createProgress(output: NodeJS.WriteStream): Progress {
  const fit = (text: string) => text.slice(0, Math.max(20, output.columns - 1))
  return {
    update(text) {
      if (output.isTTY) output.write(`\r\u001b[2K${fit(text)}`)
    },
    done(text) {
      output.write(output.isTTY ? `\r\u001b[2K${text}\n` : `${text}\n`)
    },
  }
}
