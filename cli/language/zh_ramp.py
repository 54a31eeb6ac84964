"""What a ramp says of itself: phases, reasons, verdicts, decisions, and what comes next."""

from typing import Final

CATALOG: Final[dict[str, str]] = {
    # Phases.
    "PREFLIGHT": "预检",
    "SHIFTING": "切流中",
    "SETTLING": "等待流量稳定",
    "HOLDING": "观察中",
    "PROMOTING": "转正中",
    "BAKING": "稳定期",
    "SUCCEEDED": "成功",
    "ROLLING_BACK": "回滚中",
    "ROLLBACK_UNVERIFIED": "回滚未证实",
    "ROLLED_BACK": "已回滚",
    "REFUSED": "被拒绝",
    "SUPERSEDED": "被取代",
    # Reasons of an end.
    "succeeded": "成功",
    "refused": "被拒绝",
    "target_emptied": "目标被清空",
    "operator_abort": "人工中止",
    "cancelled": "工作流被取消",
    "unhealthy": "检查未通过",
    "alert": "告警触发",
    "blind": "看不到指标",
    "budget_exhausted": "预算用尽",
    "drift": "路由被他人改动",
    "lease_lapsed": "租约过期",
    "killed": "一键关停",
    "fenced": "写入被隔离",
    "superseded": "被取代",
    "activity_failed": "活动失败",
    # What it waits for.
    "paused": "已暂停",
    "approval": "人工批准",
    "inconclusive": "证据不足",
    "shared_incident": "并非候选版本的问题",
    "budget": "预算",
    "freeze": "路由被冻结",
    # Verdicts.
    "PASS": "通过",
    "FAIL": "未通过",
    "INCONCLUSIVE": "证据不足",
    "BLIND": "看不到",
    "errors": "错误率",
    "latency": "延迟",
    "toxicity": "毒性",
    "failed": "失败",
    "toxic": "有毒",
    "answers": "回答",
    "scored answers": "已评分回答",
    "slower than {limit}": "慢于 {limit}",
    "p99 above {limit}": "p99 超过 {limit}",
    "errors above {limit}": "错误率超过 {limit}",
    "toxicity above {limit}": "毒性超过 {limit}",
    "server errors above {limit}": "服务端错误率超过 {limit}",
    "p99 of the time to first token above {limit}": "首个 token 时间的 p99 超过 {limit}",
    "p99 of the time per output token above {limit}": "每个输出 token 时间的 p99 超过 {limit}",
    "requests in flight for more than {limit}": "进行中的请求超过 {limit}",
    "server-errors": "服务端错误率",
    "first-token": "首个 token 时间",
    "per-output-token": "每个输出 token 时间",
    "hanging": "挂起",
    "requests": "请求",
    "tokens": "token",
    "errors ≤ {limit}": "错误率 ≤ {limit}",
    "server errors ≤ {limit}": "服务端错误率 ≤ {limit}",
    "p99 ≤ {limit}": "p99 ≤ {limit}",
    "p99 at the gateway ≤ {limit}": "网关处 p99 ≤ {limit}",
    "p99 to the first token ≤ {limit}": "到首个 token 的 p99 ≤ {limit}",
    "p99 per output token ≤ {limit}": "每个输出 token 的 p99 ≤ {limit}",
    "in flight ≤ {limit}": "进行中 ≤ {limit}",
    "toxicity ≤ {limit}": "毒性 ≤ {limit}",
    "baseline {share}": "基线 {share}",
    "no baseline beside it": "没有同期基线",
    "{said:breach}: {#counts} of {#n} {said:unit} ({share}, limit {limit}) in {#k} of {#needed} consecutive windows": (
        "{breach}：{n} 个{unit}中有 {counts} 个（{share}，上限 {limit}），连续窗口 {k}/{needed}"
    ),
    "{said:breach}: {#counts} of {#n} {said:unit} ({share}, limit {limit}) in {#k} consecutive windows": (
        "{breach}：{n} 个{unit}中有 {counts} 个（{share}，上限 {limit}），连续 {k} 个窗口"
    ),
    "{said:breach}: {#counts} of {#n} {said:unit} ({share}, limit {limit}) in 1 window": (
        "{breach}：{n} 个{unit}中有 {counts} 个（{share}，上限 {limit}），1 个窗口"
    ),
    "{said:breach}, and the baseline shares it: {#counts} of {#n} {said:unit} ({share}, limit {limit}) in the last window": (
        "{breach}，基线也一样：最近一个窗口的 {n} 个{unit}中有 {counts} 个（{share}，上限 {limit}）"
    ),
    "{#counts} of {#n} {said:unit} ({share}, limit {limit}) {said:bad} since the step's anchor": (
        "本步开始以来 {n} 个{unit}中有 {counts} 个{bad}（{share}，上限 {limit}）"
    ),
    "{#counts} of {#n} {said:unit} ({share}, limit {limit}) {said:bad} in the window that is still open": (
        "未结束的窗口里 {n} 个{unit}中有 {counts} 个{bad}（{share}，上限 {limit}）"
    ),
    "no larger share is safe yet: {said:check} may still be {times} times as bad as on the baseline": (
        "更大的份额还不安全：{check}仍可能差到基线的 {times} 倍"
    ),
    "not clearly worse than the baseline": "并不明显比基线差",
    "clearly worse than the baseline: {#counts} of {#n} {said:unit} ({share}) {said:bad}": (
        "明显比基线差：{n} 个{unit}中有 {counts} 个{bad}（{share}）"
    ),
    "clearly worse than the baseline: {#counts} of {#n} {said:unit} ({share}) {said:bad} since before the step's anchor": (
        "明显比基线差：从本步开始之前算起，{n} 个{unit}中有 {counts} 个{bad}（{share}）"
    ),
    "{ratio} times as often ({low} to {high})": "出现频率是基线的 {ratio} 倍（{low} 到 {high}）",
    "{ratio} times as often ({low} to {high}) since the ramp began, about {since} times since it became worse": (
        "自灰度开始以来出现频率是基线的 {ratio} 倍（{low} 到 {high}），自变差以来约为 {since} 倍"
    ),
    "evidence {evidence}, a rollback needs {needed}": "证据 {evidence}，回滚需要 {needed}",
    "its users are known from before the ramp": "已用放量前的数据修正用户差异",
    "its users are not known from before": "没有放量前的数据，未修正用户差异",
    "evidence of all checks together {evidence}, a rollback needs {needed}": (
        "所有检查合计的证据 {evidence}，回滚需要 {needed}"
    ),
    "{said:breach}, but hardly more often than on the baseline: "
    "{#counts} of {#n} {said:unit} ({share}, limit {limit}) {said:bad} since the step's anchor": (
        "{breach}，但并不比基线频繁多少：本步开始以来 {n} 个{unit}中有 {counts} 个{bad}（{share}，上限 {limit}）"
    ),
    "too much evidence to go on: "
    "{#counts} of {#n} {said:unit} ({share}, limit {limit}) {said:bad} since the step's anchor": (
        "不利证据太多，不能继续：本步开始以来 {n} 个{unit}中有 {counts} 个{bad}（{share}，上限 {limit}）"
    ),
    "no {said:unit} of the baseline to compare with": "基线没有{unit}可以比较",
    "{said:bad} more than {times} times as often as on the baseline: "
    "{#counts} of {#n} {said:unit} ({share}) in {#k} of {#needed} consecutive windows": (
        "{bad}的频率超过基线的 {times} 倍：{n} 个{unit}中有 {counts} 个（{share}），连续窗口 {k}/{needed}"
    ),
    "{said:bad} more than {times} times as often as on the baseline: "
    "{#counts} of {#n} {said:unit} ({share}) in {#k} consecutive windows": (
        "{bad}的频率超过基线的 {times} 倍：{n} 个{unit}中有 {counts} 个（{share}），连续 {k} 个窗口"
    ),
    "{said:bad} more than {times} times as often as on the baseline: "
    "{#counts} of {#n} {said:unit} ({share}) in 1 window": (
        "{bad}的频率超过基线的 {times} 倍：{n} 个{unit}中有 {counts} 个（{share}），1 个窗口"
    ),
    "{#counts} of {#n} {said:unit} ({share}) {said:bad} since the step's anchor": (
        "本步开始以来 {n} 个{unit}中有 {counts} 个{bad}（{share}）"
    ),
    "no {said:unit} yet: a verdict needs {#n}": "还没有{unit}：下结论需要 {n} 个",
    "{#n} of the {#floor} {said:unit} that a verdict needs, {#bad_ones} of them {said:bad}": (
        "下结论需要 {floor} 个{unit}，现有 {n} 个，其中 {bad_ones} 个{bad}"
    ),
    "no {said:unit} for {#seconds} s": "已有 {seconds} 秒没有{unit}",
    "{said:check} could not be judged: {any:why}": "{check}无法判断：{why}",
    "nothing was judged": "没有任何判断",
    "no check was asked for": "没有配置检查",
    # Decisions.
    "{actor} starts {model} on {route}, target {buckets}": "{actor} 在 {route} 上启动 {model}，目标分桶 {buckets}",
    "started by {actor}": "由 {actor} 启动",
    "preflight passed: {baseline} → {candidate}, {shares} %, then everyone, bake {bake}": (
        "预检通过：{baseline} → {candidate}，{shares} %，然后全量，稳定期 {bake}"
    ),
    "preflight passed: {baseline} → {candidate}, {shares} %, then hold": (
        "预检通过：{baseline} → {candidate}，{shares} %，然后保持"
    ),
    "step {#n}: {label} is next": "第 {n} 步：接下来 {label}",
    "step {#n}: {label} is served, proven by {#count} answers": "第 {n} 步：{label} 已生效，{count} 个响应为证",
    "shrunk: {what}, proven by {#count} answers": "已缩减：{what}，{count} 个响应为证",
    "step {#n}: {any:why}": "第 {n} 步：{why}",
    "step {#n}, {label} SETTLED: {said:why}": "第 {n} 步，{label}，流量已稳定：{why}",
    "step {#n}, {label} INCONCLUSIVE: {said:why}": "第 {n} 步，{label}，证据不足：{why}",
    "step {#n}, {label} PASS: {said:why} → {said:place}": "第 {n} 步，{label}，通过：{why} → {place}",
    "step {#n}, {label} FAIL: {said:why} → {said:then}": "第 {n} 步，{label}，未通过：{why} → {then}",
    "step {#n}, {label} BLIND: {said:why} → {said:then}": "第 {n} 步，{label}，看不到：{why} → {then}",
    "step {#n}, {label}: {said:why}": "第 {n} 步，{label}：{why}",
    "step {#n}, {share} % ({buckets})": "第 {n} 步，{share} %（{buckets}）",
    "bake PASS: {said:why} → {said:place}": "稳定期通过：{why} → {place}",
    "bake FAIL: {said:why} → {said:then}": "稳定期未通过：{why} → {then}",
    "bake BLIND: {said:why} → {said:then}": "稳定期看不到：{why} → {then}",
    "bake: {said:why}": "稳定期：{why}",
    "promotion: {any:why}": "转正：{why}",
    "promotion": "转正",
    "success": "成功",
    "bake": "稳定期",
    "rollback": "回滚",
    "hold": "保持观察",
    "paused, waiting for a person": "暂停，等待人工处理",
    "still paused, waiting for a person": "仍暂停，等待人工处理",
    "{slot} is withdrawn, the others go on": "撤下 {slot}，其余继续",
    "{slot} leaves the ramp: {said:reason}": "{slot} 退出灰度：{reason}",
    "{slot} serves nobody, proven by {#count} answers: {said:what}": "{slot} 不再服务任何人，{count} 个响应为证：{what}",
    "{#count} of {#n} answers are {slot}'s ({share})": "{n} 个回答中有 {count} 个来自 {slot}（{share}）",
    "{#count} of {#n} answers are {slot}'s ({share}), {expected} were expected": (
        "{n} 个回答中有 {count} 个来自 {slot}（{share}），预期 {expected}"
    ),
    "{slot}: {said:why}": "{slot}：{why}",
    "blocked by nothing any more": "不再受阻",
    "blocked by {said:what}: {said:why}": "受阻（{what}）：{why}",
    "blocked by {said:what}": "受阻：{what}",
    "still blocked by {said:what}": "仍受阻：{what}",
    "still blocked by {said:what}: {said:why}": "仍受阻（{what}）：{why}",
    "nothing any more": "没有别的了",
    "still blocked by {said:what}: {any:why}": "仍受阻（{what}）：{why}",
    "blocked by {said:what}: {any:why}": "受阻（{what}）：{why}",
    "{#count} of {#n} answers are the candidate's ({share})": "{n} 个回答中有 {count} 个来自候选版本（{share}）",
    "{#count} of {#n} answers are the candidate's ({share}), {expected} were expected": (
        "{n} 个回答中有 {count} 个来自候选版本（{share}），预期 {expected}"
    ),
    "traffic has not reached the step: {said:seen}": "流量尚未到达本步：{seen}",
    "traffic has reached the step": "流量已到达本步",
    "{#n} answers": "{n} 个回答",
    "bad ones: {said:shares}": "其中坏的：{shares}",
    "waits for `tailramp promote`": "等待 `tailramp promote`",
    "{said:check} {#share} %": "{check} {share} %",
    "{said:check} –": "{check} –",
    "{candidate} becomes the default for everyone": "{candidate} 成为所有人的默认版本",
    "{candidate} is the default, its rule still stands": "{candidate} 已是默认版本，规则暂时保留",
    "100 %: everyone is served by {candidate}; bake {bake}": "100 %：所有人由 {candidate} 服务；稳定期 {bake}",
    "the bake is over: {buckets} follow to {candidate}": "稳定期结束：{buckets} 也转到 {candidate}",
    "succeeded: {candidate} serves everyone": "成功：{candidate} 服务所有人",
    "paused by {actor}": "{actor} 暂停",
    "resumed by {actor}": "{actor} 恢复",
    "promoted to the target by {actor}": "{actor} 直接推进到目标",
    "promoted beyond step {#n} by {actor}": "{actor} 推进，跳过第 {n} 步剩余的观察",
    "aborted by {actor}": "{actor} 中止",
    "acknowledged by {actor}": "{actor} 已确认",
    "target emptied by {actor}": "{actor} 清空了目标",
    "spend within: {any:why}": "花费未超上限：{why}",
    "spend unknown: {any:why}": "花费未知：{why}",
    "spend exhausted: {any:why}": "花费已超上限：{why}",
    "the baseline {slot} has no ready server": "基线 {slot} 没有就绪的服务器",
    "users are not divided as their buckets are: {#seen} of {#all} are {slot}'s ({share}), {expected} were expected": "用户的划分与分桶不符：{all} 个用户中 {seen} 个在 {slot}（{share}），应为 {expected}",
    "frozen by {actor}: {any:why}": "被 {actor} 冻结：{why}",
    "changed by somebody else: {any:what}": "被他人改动：{what}",
    "alert {any:name} from {actor}": "来自 {actor} 的告警 {name}",
    "alert {any:name}": "告警 {name}",
    "rollback: {said:reason}: {said:detail}": "回滚：{reason}：{detail}",
    "rolled back: {said:reason}: {said:detail}": "已回滚：{reason}：{detail}",
    "rolled back: {said:reason}: ": "已回滚：{reason}",
    "rollback: {said:reason}: {any:detail}": "回滚：{reason}：{detail}",
    "rolled back: {said:reason}: {any:detail}": "已回滚：{reason}：{detail}",
    "step {#n}, {label} FAIL: {any:why} → {said:then}": "第 {n} 步，{label}，未通过：{why} → {then}",
    "step {#n}, {label} BLIND: {any:why} → {said:then}": "第 {n} 步，{label}，看不到：{why} → {then}",
    "step {#n}, {label} PASS: {any:why} → {said:place}": "第 {n} 步，{label}，通过：{why} → {place}",
    "bake BLIND: {any:why} → {said:then}": "稳定期看不到：{why} → {then}",
    "cleared: {said:what}": "已清除：{what}",
    "the {said:who} had been there first ({said:reason})": "{who}已先行处理（{reason}）",
    "the {said:who} had been there first ({any:reason})": "{who} 已先行处理（{reason}）",
    "sentinel": "哨兵",
    "kill": "一键关停",
    "default {slot}": "默认 {slot}",
    "default {slot}, {any:rules}": "默认 {slot}，{rules}",
    "zero traffic on {slot}, proven by counters and {#count} answers": (
        "{slot} 流量为零，由网关计数器和 {count} 个响应证实"
    ),
    "the route is as it was before the ramp": "路由与灰度前一致",
    "the route is as it was before the ramp, but for what others changed: {any:what}": "除他人的改动外，路由与灰度前一致：{what}",
    "the route is not as it was before the ramp: {any:what}": "路由与灰度前不一致：{what}",
    "nobody could be taken back yet; trying on": "暂时无法让任何人回到基线，继续尝试",
    "the proof of zero traffic is missing; trying on": "尚未证实流量归零，继续尝试",
    "superseded by ramp {id}: nothing was touched": "被灰度 {id} 取代：未做任何改动",
    "the workflow was cancelled": "工作流被取消",
    "nothing was decided yet": "尚无决定",
    "the ramp has ended: {said:why}": "灰度结束：{why}",
    # What comes next.
    "nothing: the ramp is over": "无：灰度已结束",
    "everyone goes back to the baseline; then the proof that no new request reaches the candidate": (
        "所有人回到基线，然后证实候选版本不再收到新请求"
    ),
    "preflight: everything that can be checked before a user is moved": "预检：在切换任何用户之前检查一切可查之处",
    "waits for `tailramp resume`; guards go on": "等待 `tailramp resume`；检查照常进行",
    "{label}, once the freeze is lifted": "解除冻结后：{label}",
    "{candidate} becomes the default, once the freeze is lifted": "解除冻结后：{candidate} 成为默认版本",
    "{label} is applied and proven by responses": "{label} 正在下发，并由响应证实",
    "the hold starts once traffic has reached the step and a full window has passed": (
        "流量到达本步并经过一个完整窗口后开始观察"
    ),
    "{candidate} becomes the default": "{candidate} 成为默认版本",
    "success in {left}, if no check fails": "{left} 后成功，前提是没有检查失败",
    "holds the target, guards on, until the target changes": "保持目标，检查照常，直到目标改变",
    "{said:after} in {left}, if every check passes": "{left} 后进入 {after}，前提是所有检查通过",
    "{said:after}, once this is resolved: {said:blocks}; or `tailramp promote`": (
        "待解决（{blocks}）后进入 {after}；或执行 `tailramp promote`"
    ),
    "100 %: {candidate} becomes default": "100 %：{candidate} 成为默认版本",
    # Summaries and lists of words.
    "{said:first}, {said:rest}": "{first}、{rest}",
    "{route} → {model}: {shares} % of {buckets}": "{route} → {model}：{buckets} 的 {shares} %",
    "{share} % ({buckets})": "{share} %（{buckets}）",
}
