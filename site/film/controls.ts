/** Buttons and keys that break machines: one set for all bands. */

import type { Fault } from '../../src/film/script'

/** By its key. */
export const ACTIONS: readonly { readonly fault: Fault; readonly text: string; readonly key: string }[] = [
  { fault: 'slow', text: 'slow', key: 's' },
  { fault: 'hung', text: 'hang', key: 'h' },
  { fault: 'lying', text: 'lie', key: 'l' },
  { fault: 'dead', text: 'kill', key: 'k' },
]

export interface ControlsOptions {
  readonly machines: number
  onChoose(machine: number): void
  onFault(machine: number, fault: Fault | undefined): void
}

export class Controls {
  readonly #options: ControlsOptions
  readonly #rows: { readonly item: HTMLElement; readonly choose: HTMLElement; readonly faults: HTMLElement[] }[] = []
  readonly #pressed: (Fault | undefined)[] = []

  /** @param list  gets a row for each machine, with a place for its state */
  constructor(list: HTMLElement, options: ControlsOptions) {
    this.#options = options
    for (let machine = 0; machine < options.machines; machine++) list.append(this.#row(machine))
    addEventListener('keydown', (event) => this.#key(event))
  }

  #row(machine: number): HTMLElement {
    const item = document.createElement('li')
    const choose = button(`<span class="long">machine </span>${machine + 1}`, `choose machine ${machine + 1}`)
    choose.className = 'name'
    choose.addEventListener('click', () => this.choose(machine))
    const state = document.createElement('span')
    state.className = 'state'
    state.ariaHidden = 'true'
    const group = document.createElement('span')
    group.className = 'faults'
    group.role = 'group'
    group.ariaLabel = `machine ${machine + 1}`
    const faults = ACTIONS.map(({ text, fault }) => {
      const each = button(text, `${text} machine ${machine + 1}`)
      each.addEventListener('click', () => {
        this.choose(machine)
        this.#toggle(machine, fault)
      })
      return each
    })
    group.append(...faults)
    item.append(choose, state, group)
    this.#rows.push({ item, choose, faults })
    return item
  }

  choose(machine: number): void {
    for (const [i, { item, choose }] of this.#rows.entries()) {
      item.classList.toggle('chosen', i === machine)
      choose.ariaPressed = String(i === machine)
    }
    this.#options.onChoose(machine)
  }

  /** As the simulation has it. */
  show(machine: number, fault: Fault | undefined): void {
    this.#pressed[machine] = fault
    for (const [i, each] of this.#rows[machine].faults.entries()) {
      const isPressed = String(ACTIONS[i].fault === fault)
      if (each.ariaPressed !== isPressed) each.ariaPressed = isPressed
    }
  }

  #toggle(machine: number, fault: Fault): void {
    const next = this.#pressed[machine] === fault ? undefined : fault
    this.show(machine, next)
    this.#options.onFault(machine, next)
  }

  #key({ key, ctrlKey, metaKey, altKey }: KeyboardEvent): void {
    if (ctrlKey || metaKey || altKey) return
    const number = Number(key)
    if (number >= 1 && number <= this.#rows.length) this.choose(number - 1)
    const action = ACTIONS.find((each) => each.key === key.toLowerCase())
    const chosen = this.#rows.findIndex(({ item }) => item.classList.contains('chosen'))
    if (action && chosen >= 0) this.#toggle(chosen, action.fault)
  }
}

function button(html: string, label: string): HTMLButtonElement {
  const made = document.createElement('button')
  made.type = 'button'
  made.innerHTML = html
  made.ariaLabel = label
  made.ariaPressed = 'false'
  return made
}
