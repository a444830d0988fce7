/**
 * Branches of the decisions that the exploration never takes, and why: of each its file, function and code as V8 tells them. One that is
 * not here is missed by every order of events, and nobody knew.
 */

const reasons = {
  time: 'no time passes, and fewer than ten answers say nothing of what is late: the simulation has deadlines and hedges',
  memory: 'it has no memory, so nothing is looked up, checked or recovered: the simulation has one',
  audits: 'audits are off, since they draw lots: the simulation has them',
  policy: 'its callers have one policy: test/query/policy.test.ts tries all',
  saved: 'nothing is saved and loaded: test/trust does it',
  model: 'its model stays the same: the simulation replaces it',
  long: 'who is ejected is readmitted after 20 right answers, which takes more than twelve events: the simulation has them',
  spread: 'it takes 30 answers to know how large they usually are: the simulation has hundreds',
  plain: 'its workers can be reached and have one slot, and nobody restarts them: the simulation has others',
  few: 'one of five may lie, and four are enough: test/trust has pools where too few are left',
  groups: 'where some may lie no query is in a group: the simulation has runs where nobody does',
  clones: 'there are no hedges and clones, and an abort frees no worker: the simulation and test/query have them',
  told: 'what is told where nobody can be asked, or for figures: test/pool has it',
  many: 'it takes a thousand of them: test/pool has it',
  failures: 'it takes as many failures as a query may have, and there are two: test/query has them',
  over: 'a query that is proven has its answer, and nobody asks what it lacks: it says so to who would',
  deep: 'it takes more than six events',
  scales:
    'its workers tell no scale of their outputs, which are numbers of one length: test/query/equality.test.ts has others',
}

type Why = keyof typeof reasons

// biome-ignore format: a line each
const unreached: Record<string, Why> = {
  'query/policy checkPolicy: const where="byzantine > 0, where one answer proves nothing";throw new RangeErro': 'policy',
  'query/policy defaultPolicy: :"recover"': 'policy',
  'query/policy next: return atDeadline(facts);': 'time',
  'query/policy next: ?underWay(facts,now)': 'time',
  'query/policy lookUp: :WAIT': 'memory',
  'query/policy isRecovered: &&isConfident(policy,minConfidence,recovery.confidence)': 'memory',
  'query/policy unasked: return{action:"recover"};': 'memory',
  'query/policy unasked: &&policy==="recover"': 'groups',
  'query/policy unasked: return WAIT;': 'groups',
  'query/policy unasked: :"fail"': 'failures',
  'query/policy unpaced: return lookUp(facts)??(isRecovered(facts)?{action:"recover"}:WAIT)': 'memory',
  'trust/evidence load: load(state){const{workers,distance,sizes}=savedEvidence(state);this.#sizes=sizes': 'saved',
  'trust/evidence get usualSizes: ?this.#sizes.map(({mean})=>Math.exp(mean))': 'spread',
  'trust/evidence : ({mean})=>Math.exp(mean)': 'spread',
  'trust/evidence leave: this.#left.add(worker);const[oldest]=this.#left;if(this.#left.size<=MOST_LEFT)re': 'deep',
  'trust/evidence audits: audits(worker,usual){return this.isSuspect(worker)?Math.max(CLOSELY,usual):usual': 'audits',
  'trust/evidence proven: record.suspicion=0;return true': 'long',
  'trust/evidence checked: checked(worker,passed,distance){const record=this.#record(worker);if(passed)reco': 'memory',
  'trust/evidence renew: renew(){this.renewals++;this.#distance={count:0,mean:0,variance:0};this.#sizes=[': 'model',
  'trust/evidence save: save(){const workers=structuredClone(Object.fromEntries(this.#workers));return{w': 'saved',
  'trust/reputation audits: return false;': 'audits',
  'trust/reputation audits: ?this.evidence.audits(identityOf(worker),this.#audit)': 'audits',
  'trust/reputation compare: compare(payload,answered){if(!this.#audit||answered.length>2)return;if(answered.': 'audits',
  'trust/reputation get #isAffordable: get#isAffordable(){const free=1-this.#pool.utilisation;return free>=SPARE||this.': 'audits',
  'trust/reputation isSuspected: isSuspected(worker){return this.evidence.isSuspect(identityOf(worker))}': 'memory',
  'trust/reputation proven: if(this.#ejects)this.#pool.readmit(identity);this.#tell(worker,"readmitted")': 'long',
  'trust/reputation checked: checked(worker,passed,distance){const identity=identityOf(worker);this.evidence.': 'memory',
  'trust/reputation resume: this.#tidy(identity);': 'saved',
  'trust/reputation resume: :[]': 'saved',
  'trust/reputation resume: this.#pool.eject(identity)': 'saved',
  'trust/reputation lied: return this.#tell(worker,"kept");': 'few',
  'trust/reputation restart: ?.("gave an answer that was proven wrong")': 'plain',
  'trust/reputation restart: catch{}': 'plain',
  'query/equality : return isEqual(own,other)&&String(a.tensors[i].shape)===String(b.tensors[i].shap': 'scales',
  'query/equality : return false;': 'spread',
  'query/equality : return!isEqual(own,other);': 'scales',
  'query/equality : ?.[i]': 'scales',
  'query/equality : ??0': 'scales',
  'query/equality isWithin: return false;': 'scales',
  'trust/reputation : ??0': 'scales',
  'trust/reputation : ?.[i]': 'scales',
  'trust/reputation : &&scale>0&&scale<Number.MAX_VALUE?scale': 'scales',
  'query/inquiry get isLost: get isLost(){return!this.#asked.some(isLive)}': 'groups',
  'query/inquiry ask: &&this.#pool.utilisation>IDLE': 'clones',
  'query/inquiry ask: &&attempt.phase==="queued"': 'clones',
  'query/inquiry ask: this.#pool.cancel(attempt);': 'clones',
  'query/inquiry try: return void 0;': 'deep',
  'query/inquiry try: &&this.#add(attempt,"trial",row)': 'deep',
  'query/inquiry drop: drop(){this.cancel(({attempt})=>attempt.phase==="running"&&attempt.worker?.inter': 'clones',
  'query/inquiry #submission: ?[this,coding]': 'groups',
  'query/vote begin: this.#proof="open";return true': 'memory',
  'query/vote get needed: return 0;': 'over',
  'query/vote get needed: &&checks?1': 'memory',
  'query/vote suspects: ||!trust.isSuspected(worker)||!trust.audits(worker)': 'memory',
  'query/vote suspects: this.#proof="wanted";return true': 'memory',
  'query/vote judge: &&this.#recovery.lookup(0)==="done"': 'memory',
  'query/vote judge: this.#check(told[0],give)': 'memory',
  'query/vote #prove: ?.given': 'memory',
  'query/vote #prove: this.#recovery.grade(own,void 0);': 'memory',
  'query/vote #prove: learning.experience.confidence.rehearse({...memory,missing:1},own.vector);': 'memory',
  'query/vote #check: #check(asked,give){const{trust,learning}=this.#context;const{memory,confidence=0': 'memory',
  'trust/evidence leave: this.#left.delete(oldest);this.#workers.delete(oldest)': 'many',
  'pool/roster findEjected: this.#ejected.delete(member);this.#ejected.add(member);return member}': 'deep',
  'pool/roster add: this.#ejected.add(member);': 'deep',
  'pool/roster eject: else this.#ejected.delete(member);': 'long',
  'pool/roster hold: hold(slot){slot.member.slots.hold(slot);this.#discharge(slot.member)}': 'plain',
  'pool/roster #stateOf: return GONE;': 'plain',
  'pool/roster #stateOf: :READY': 'long',
  'pool/roster takeFastest: this.update(member)}': 'plain',
  'pool/roster get free: get free(){let free=0;for(const member of this.#members.values())if(member.slots': 'told',
  'pool/roster get nobody: get nobody(){const{size}=this;const ejected=this.#ejected.size;const gone=size-e': 'told',
  'pool/roster add: this.#entries=new TinyQueue(this.#entries.data.filter(isValid),faster)': 'many',
}

/** Why a branch is not reached; undefined for one of which that is not known. */
export const reasonOf = (branch: string): string | undefined => reasons[unreached[branch]]

/** Branches that are said to be out of reach, and are not. @param untaken  those of an exploration of twelve events */
export function reached(untaken: readonly string[]): string[] {
  return Object.keys(unreached).filter((branch) => unreached[branch] !== 'deep' && !untaken.includes(branch))
}
