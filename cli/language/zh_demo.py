"""What the demo says: its acts and the facts after each."""

from typing import Final

CATALOG: Final[dict[str, str]] = {
    "starting Temporal, Envoy, Prometheus and two toy LLM servers ...": "正在启动 Temporal、Envoy、Prometheus 和两个玩具大模型服务……",
    "Temporal's UI: {address}": "Temporal 界面：{address}",
    "Everything still runs. Temporal's UI: {address}   Ctrl-C ends it.": "一切仍在运行。Temporal 界面：{address}   按 Ctrl-C 结束。",
    "Act {#number}: {said:story}": "第 {number} 幕：{story}",
    "(Its platform file lowers the evidence floor to 5 answers a step and windows of 20: good for a demo only.)": "（演示用的平台文件把证据下限降到每步 5 个回答、每个窗口 20 个：仅适合演示。）",
    "{model} in slot {slot} is good: it goes to 100 % and becomes the baseline.": "槽位 {slot} 里的 {model} 是好的：升到 100 %，成为新基线。",
    "{model} in slot {slot} turns slow at 25 %: watch it being taken out.": "槽位 {slot} 里的 {model} 在 25 % 时变慢：看它如何被摘除。",
    "{model} in slot {slot} starts to fail at 25 %: watch it being taken out.": "槽位 {slot} 里的 {model} 在 25 % 时开始报错：看它如何被摘除。",
    "{model} in slot {slot} dies at 25 %: watch it being taken out.": "槽位 {slot} 里的 {model} 在 25 % 时崩溃：看它如何被摘除。",
    "{model} in slot {slot} turns toxic at 25 %: watch it being taken out.": "槽位 {slot} 里的 {model} 在 25 % 时输出有毒内容：看它如何被摘除。",
    "{model} in slot {slot} stops answering at 25 %, without an error: watch it being taken out.": "槽位 {slot} 里的 {model} 在 25 % 时不再应答，也不报错：看它如何被摘除。",
    "both models turn slow at 25 %: {model} in slot {slot} waits until both are well, and goes on.": "两个模型在 25 % 时同时变慢：槽位 {slot} 里的 {model} 等到两者都恢复，再继续。",
    "Prometheus dies at 25 %: watch {model} in slot {slot} being taken out, for want of evidence.": "Prometheus 在 25 % 时崩溃：因为没有证据，看槽位 {slot} 里的 {model} 如何被摘除。",
    "so few users come that nothing can be said about {model} in slot {slot}: it waits for a person.": "用户太少，无法对槽位 {slot} 里的 {model} 下结论：它等人来决定。",
    "What the users saw, from their own log": "用户看到了什么（据用户自己的日志）",
    "outcome": "结果",
    "answers by slot": "各槽位的回答数",
    "users who changed over": "换过版本的用户",
    "failed requests that the fault does not explain": "无法用故障解释的失败请求",
    "forged headers that reached the candidate": "伪造请求头而到达候选版本的请求",
    "requests without an id that reached the candidate": "没有用户标识而到达候选版本的请求",
    "users moved back and forth": "被来回切换的用户",
    "the ramp said that it waits for": "灰度说明它在等待",
    "fault → first scrape that shows it": "故障 → 首次能看出故障的采集",
    "that scrape → last request to the candidate": "该次采集 → 发给候选版本的最后一个请求",
    "this is not how the scenario should go: {any:why}": "场景没有按预期进行：{why}",
    "refused: this is not how the scenario should go: {any:why}": "被拒绝：场景没有按预期进行：{why}",
    "This is not how the scenario should end.": "这个场景不应如此结束。",
}
