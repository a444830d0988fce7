/** What the page shows, as templates of its state. */

import { html, nothing, svg, type TemplateResult } from 'lit-html'
import { repeat } from 'lit-html/directives/repeat.js'
import type { ModelOverview, Overview, WorkerOverview } from '../serve/overview'
import { type BarOutcome, type News, type RecentWork, WINDOW_MS, within } from './recent'
import { bearer, clientLines, curlLine, type ModelMetadata } from './samples'
import { allOf, counted, milliseconds, number, outcomeWords, reputationOf, stateOf, workersIn } from './words'

export interface View {
  /** How it stands with the connection, in a sentence. */
  readonly status: string
  readonly isLive: boolean
  /** Whether another token is asked for. */
  readonly asksToken: boolean
  readonly hasToken: boolean
  readonly overview: Overview | undefined
  readonly model: ModelOverview | undefined
  readonly metadata: ModelMetadata | undefined
  readonly recent: RecentWork
  /** Workers that have a lane. */
  readonly shown: readonly WorkerOverview[]
  readonly canvas: HTMLElement
  readonly plot: HTMLElement
  readonly copied: string
}

export interface Actions {
  enter(token: string): void
  forgetToken(): void
  choose(model: string): void
  copy(what: string, text: string): void
}

export function pageOf(view: View, actions: Actions): TemplateResult {
  return html`
    <header>
      <h1>approxifer serve <span class="muted">${location.host}</span></h1>
      <p role="status" class=${view.isLive ? 'live' : 'waiting'}>${view.status}</p>
      ${view.hasToken && !view.asksToken ? html`<button type="button" @click=${actions.forgetToken}>forget the token</button>` : nothing}
    </header>
    <main>${mainOf(view, actions)}</main>
  `
}

function mainOf(view: View, actions: Actions) {
  const { asksToken, model, metadata } = view
  if (asksToken) return tokenForm(actions)
  return model && metadata ? modelOf(view, model, metadata, actions) : nothing
}

function tokenForm({ enter }: Actions): TemplateResult {
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    const field = (event.target as HTMLFormElement).elements.namedItem('token') as HTMLInputElement
    enter(field.value.trim())
  }
  return html`
    <form @submit=${submit}>
      <label for="token">A token for all models</label>
      <div class="entry">
        <input id="token" name="token" type="password" autocomplete="off" spellcheck="false" required aria-describedby="kept" />
        <button>watch</button>
      </div>
      <p id="kept" class="muted">It stays in this tab, and is gone when the tab is closed.</p>
    </form>
  `
}

function modelOf(view: View, model: ModelOverview, metadata: ModelMetadata, actions: Actions): TemplateResult {
  const { recent, overview } = view
  return html`
    ${chooser(overview?.models ?? [], model, actions)}
    <p class="summary">${summaryOf(model, recent)}</p>
    ${lanesOf(view, model)}
    <div class="halves">
      <section aria-labelledby="latency">
        <h2 id="latency">Latency of the last minute</h2>
        ${view.plot}
        <p class="legend"><span>${line(false)}half within</span><span>${line(true)}99 % within</span></p>
      </section>
      ${answersOf(recent)}
    </div>
    ${workersOf(view)} ${newsOf(recent.news)} ${askingOf(view, metadata, actions)}
  `
}

function chooser(models: readonly ModelOverview[], { model }: ModelOverview, { choose }: Actions) {
  if (models.length < 2) return nothing
  const change = ({ target }: Event) => choose((target as HTMLSelectElement).value)
  return html`
    <p>
      <label for="model">Model</label>
      <select id="model" @change=${change}>
        ${models.map((each) => html`<option value=${each.model} ?selected=${each.model === model}>${each.model}</option>`)}
      </select>
    </p>
  `
}

function summaryOf(model: ModelOverview, { answers }: RecentWork): TemplateResult {
  const ms = answers.map((each) => each.ms)
  const speed = ms.length
    ? `${number(Math.round((ms.length * 1000) / WINDOW_MS))} answers a second, half within ${milliseconds(within(ms, 0.5))}, 99 % within ${milliseconds(within(ms, 0.99))}`
    : 'no query in the last ten seconds'
  return html`<strong>${model.model}</strong>: ${speed}. ${workersIn(model)}.`
}

function lanesOf({ shown, canvas }: View, model: ModelOverview): TemplateResult {
  const others = allOf(model) - shown.length
  return html`
    <section aria-labelledby="lanes">
      <h2 id="lanes">Workers in the last ten seconds</h2>
      <div class="lanes">
        ${shown.map(
          (worker) => html`
            <div class="lane" aria-hidden="true">
              <span class="name">${worker.worker}</span>
              <span class=${`state ${worker.state}`}>${laneState(worker)}</span>
            </div>
          `,
        )}
        ${canvas}
      </div>
      ${others > 0 ? html`<p class="muted">and ${counted(others, 'more worker')}: those in trouble and the busiest are shown</p>` : nothing}
      <p class="legend">${(Object.keys(outcomeWords) as BarOutcome[]).map((each) => html`<span>${signs[each]}${outcomeWords[each]}</span>`)}</p>
    </section>
  `
}

function laneState(worker: WorkerOverview): string {
  return worker.state === 'up' ? `up, ${milliseconds(worker.expectedMs)}` : stateOf(worker)
}

/** The forms of the lanes. */
const sign = (outcome: BarOutcome, form: TemplateResult) =>
  html`<svg class=${`sign ${outcome}`} width="18" height="14" viewBox="0 0 18 14" aria-hidden="true">${form}</svg>`
const signs: Record<BarOutcome, TemplateResult> = {
  working: sign('working', svg`<rect x="1.5" y="1.5" width="15" height="11" fill="none" stroke="currentColor" />`),
  answered: sign('answered', svg`<rect x="1" y="1" width="16" height="12" fill="currentColor" />`),
  late: sign('late', svg`<rect x="1" y="7" width="16" height="6" fill="currentColor" />`),
  unneeded: sign('unneeded', svg`<rect x="1" y="6" width="16" height="2" fill="currentColor" />`),
  lost: sign('lost', svg`<path d="M1 7h8M8 2l9 10M8 12l9-10" fill="none" stroke="currentColor" stroke-width="2" />`),
  lied: sign('lied', svg`<path d="M4 1h10l-5 12z" fill="currentColor" />`),
}

const line = (isDashed: boolean) => html`
  <svg class=${`sign ${isDashed ? 'late' : 'answered'}`} width="24" height="14" viewBox="0 0 24 14" aria-hidden="true">
    <path d="M1 7h22" fill="none" stroke="currentColor" stroke-width="2" stroke-dasharray=${isDashed ? '6 4' : 'none'} />
  </svg>
`

function answersOf({ answers }: RecentWork): TemplateResult {
  const by = new Map<string, (number | undefined)[]>()
  for (const { how, confidence } of answers) {
    const all = by.get(how)
    if (all) all.push(confidence)
    else by.set(how, [confidence])
  }
  const rows = [...by].sort(([, a], [, b]) => b.length - a.length)
  return html`
    <section aria-labelledby="answers">
      <h2 id="answers">How queries were answered</h2>
      <table>
        <caption class="unseen">in the last ten seconds</caption>
        <thead><tr><th scope="col">answer</th><th scope="col" class="number">in ten seconds</th></tr></thead>
        <tbody>
          ${rows.map(([how, all]) => html`<tr><th scope="row">${how}${surenessOf(all)}</th><td class="number">${number(all.length)}</td></tr>`)}
          ${rows.length ? nothing : html`<tr><td colspan="2">none</td></tr>`}
        </tbody>
      </table>
    </section>
  `
}

/** Of recovered answers, half of which are as sure or less. */
function surenessOf(confidences: readonly (number | undefined)[]): string {
  const half = within(
    confidences.filter((each) => each !== undefined),
    0.5,
  )
  return half === undefined ? '' : `, ${Math.floor(half * 100)} % sure`
}

function workersOf({ shown, recent }: View): TemplateResult {
  const counts = recent.counts()
  const titles = ['worker', 'state', 'an answer takes', 'at once', 'answered', 'late', 'lost', 'reputation']
  const rowOf = (worker: WorkerOverview) => {
    const { answered = 0, late = 0, lost = 0 } = counts.get(worker.worker) ?? {}
    return html`
      <tr>
        <th scope="row">${worker.worker}</th>
        <td class=${`state ${worker.state}`}>${stateOf(worker)}</td>
        <td class="number">${milliseconds(worker.expectedMs)}</td>
        ${[worker.slots, answered, late, lost].map((value) => html`<td class="number">${number(value)}</td>`)}
        <td>${reputationOf(worker)}</td>
      </tr>
    `
  }
  return html`
    <section aria-labelledby="workers">
      <h2 id="workers">Workers</h2>
      <div class="scrolling" role="region" aria-label="table of workers" tabindex="0">
        <table>
          <caption class="muted">answered, late and lost in the last ten seconds</caption>
          <thead>
            <tr>${titles.map((title, i) => html`<th scope="col" class=${i > 1 && i < 7 ? 'number' : ''}>${title}</th>`)}</tr>
          </thead>
          <tbody>${shown.map(rowOf)}</tbody>
        </table>
      </div>
    </section>
  `
}

function newsOf(news: readonly News[]): TemplateResult {
  const time = (at: number) => new Date(at).toLocaleTimeString('en-GB')
  // Times and counts change each second under a liar: readers of screens are told new lines alone.
  const lineOf = ({ at, text, count, since }: News) => html`
    <li>
      <span class="muted" aria-live="off">${time(at)}</span> ${text}
      <span class="muted" aria-live="off">${count > 1 ? `×${number(count)} since ${time(since)}` : nothing}</span>
    </li>
  `
  return html`
    <section aria-labelledby="news">
      <h2 id="news">What changed</h2>
      <div role="log" aria-labelledby="news">
        ${news.length ? nothing : html`<p class="muted">nothing since the page was opened</p>`}
        <ul>
          ${repeat(news, ({ text }) => text, lineOf)}
        </ul>
      </div>
    </section>
  `
}

function askingOf({ overview, hasToken, copied }: View, metadata: ModelMetadata, { copy }: Actions): TemplateResult {
  const at = new URL(location.origin)
  if (overview?.port) at.port = String(overview.port)
  const samples = [
    { what: 'curl', title: 'With curl', text: curlLine(metadata, at.origin, hasToken ? [bearer('$TOKEN')] : []) },
    { what: 'client', title: 'From Node', text: clientLines(metadata, at.origin, hasToken) },
  ]
  const tensors = [
    ...metadata.inputs.map((each) => ['input', each] as const),
    ...metadata.outputs.map((each) => ['output', each] as const),
  ]
  const shapeOf = (shape: readonly number[]) => shape.map((length) => (length < 0 ? 'any' : length)).join(' × ')
  return html`
    <section aria-labelledby="asking">
      <h2 id="asking">Ask ${metadata.name}</h2>
      <div class="scrolling" role="region" aria-label="inputs and outputs" tabindex="0">
        <table>
          <caption class="unseen">inputs and outputs</caption>
          <thead>
            <tr>${['', 'name', 'type', 'shape'].map((title) => (title ? html`<th scope="col">${title}</th>` : html`<td></td>`))}</tr>
          </thead>
          <tbody>
            ${tensors.map(
              ([kind, { name, datatype, shape }]) =>
                html`<tr><td>${kind}</td><th scope="row">${name}</th><td>${datatype}</td><td>${shapeOf(shape)}</td></tr>`,
            )}
          </tbody>
        </table>
      </div>
      ${samples.map(
        ({ what, title, text }) => html`
          <h3 id=${what}>${title}</h3>
          <pre class=${`scrolling ${what}`} role="region" tabindex="0" aria-labelledby=${what}><code>${text}</code></pre>
          <button type="button" @click=${() => copy(what, text)} aria-describedby=${what}>
            ${copied === what ? 'copied' : 'copy'}
          </button>
        `,
      )}
    </section>
  `
}
