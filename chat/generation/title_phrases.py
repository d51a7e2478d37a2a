"""Patterns of what models write before, after and instead of a title.

chat/generation/title_text.py uses them. If a language is missing here, its titles are taken as the
model wrote them.
"""

import re

_FLAGS = re.IGNORECASE
# Marks of reasoning that the stream did not separate from the text.
_MARKS = r"think|thinking|thought|thoughts|reasoning|reflection|analysis|scratchpad|seed:think"
CLOSING_MARK = re.compile(rf"</\s*(?:{_MARKS})\s*>|◁/think▷|\[/THINK\]", _FLAGS)
OPENING_MARK = re.compile(rf"<\s*(?:{_MARKS})\b[^>]*>|◁think▷|\[THINK\]", _FLAGS)
FINAL_CHANNEL = re.compile(
    r"<\|channel\|>\s*final\b[^<]*<\|message\|>|(?<=[.!?\w])assistantfinal", _FLAGS
)
OTHER_CHANNEL = re.compile(r"<\|channel\|>\s*(?:analysis|commentary)\b|^\s*analysis(?=[A-Z])")
SPECIAL_TOKEN = re.compile(
    r"<\|[^|<>]{1,40}\|>|<｜[^｜<>]{1,40}｜>|</?s>|<(?:end|start)_of_turn>|\[/?INST\]|<(?:eos|bos"
    r"|pad)>"
)
# Words for "title" in keys, labels and introductions.
_TITLE = (
    r"titles?|titel|titre|t[íi]tulo|titolo|titlu|tytu[łl]|tittel|titulek|n[áa]zev|n[áa]zov|naslov"
    r"|c[íi]m|otsikko|ba[şs]l[ıi]k|ti[êe]u đ[ềe]|judul|τίτλος|заголовок|название|тема|назва"
    r"|标题|標題|题目|題目|主题|主題|题名|題名|タイトル|件名|제목|عنوان|العنوان|כותרת|शीर्षक|ชื่อเรื่อง|หัวข้อ"
)
_KIND = (
    r"chat|conversation|suggested|proposed|possible|short|concise|generated|new|final|best|my"
    r"|gespr[äa]chs?|vorgeschlagener|propos[ée]|sugerido|对话|對話|聊天|会話の?|대화|suggestion"
)
LABEL = re.compile(
    rf"(?:(?:{_KIND})[ \-]?){{0,3}}(?:{_TITLE}|subject|topic|sujet|betreff|thema|headline|option"
    r"|answer|assistant|response|output|final answer)"
    r"(?:\s*(?:suggestions?|ideas?|options?|line|vorschlag|sugerido|proposé|建议|建議|候補|案))?"
    r"(?:\s+(?:of|for)\s+(?:the|this)\s+(?:chat|conversation))?"
    r"\s*\d{0,2}\s*(?:[:：﹕]|\s[=–—-]\s)\s*",
    _FLAGS,
)
HAS_TITLE_WORD = re.compile(rf"(?<![A-Za-zÀ-ɏ])(?:{_TITLE})(?![a-z])", _FLAGS)
TOPIC_KEY = re.compile(r"\b(?:subject|topic|name|heading|headline)\b", _FLAGS)
TITLE_KEY = re.compile(
    rf"""[{{,\s]["']?(?:\w*[ _])?(?:{_TITLE}|name)["']?\s*[:=]\s*"""
    r"""(?:"((?:[^"\\\n]|\\.)+)|'([^'\n]+)|([^"'\n,{{}}]+))""",
    _FLAGS,
)
TITLE_TAG = re.compile(rf"<({_TITLE})>(.*?)(?:</\1>|$)", _FLAGS | re.DOTALL)
BOXED = re.compile(r"\\(?:boxed|text\w*)\s*\{(?:\\text\w*\s*\{)?([^{}]+)\}")
# "Sure!", by itself or before the title.
CONSENT = re.compile(
    r"(?:(?:sure(?: thing)?|certainly|of course|absolutely|ok|okay|alright|all right|got it|great"
    r"|no problem|definitely|happy to help|natürlich|gerne?|klar|selbstverständlich|bien sûr"
    r"|d['’]accord|claro|por supuesto|certo|certamente|com certeza|конечно|хорошо|zeker|natuurlijk"
    r"|oczywiście|tabii|elbette|好的|当然|當然|可以|もちろん(?:です)?|はい|承知しました|わかりました"
    r"|물론(?:입니다|이죠)?|네|알겠습니다)\s*[!.,:;！。，、：—–-]+\s*)+",
    _FLAGS,
)
INTRODUCTION = re.compile(
    r"(?:here(?:['’]?s| is| are| you go)|this is|below is|the following|based on|given (?:the|this)"
    r"|(?:i|we)(?:['’]d| would| will|['’]ll)? (?:suggest|propose|recommend|call|title|go with"
    r"|choose)"
    r"|my suggestion|how about|(?:a|an|one|the) (?:[\w-]+,? ){0,4}(?:title|titles)\b"
    r"|hier (?:ist|sind|is|zijn)|ein (?:\w+ )?titel|voici|voilà|je (?:propose|suggère)"
    r"|un (?:\w+ )?titre"
    r"|aqu[íi] (?:est[áa]n?|tienes?|va|tem)|un t[íi]tulo|um t[íi]tulo|ecco|propongo|вот|предлагаю"
    r"|oto|i̇?şte|işte|以下|这是|這是|这里是|根据|根據|我建议|我建議|建议|こちら|次の|다음은|여기)",
    _FLAGS,
)
# The end of an introduction that has the title on the same line.
INTRODUCED = re.compile(
    r"(?:[:：]|\s[–—-]\s|\b(?:is|be|are|ist|wäre|est|serait|es|sería|é|seria|è|sarebbe)\b:?)\s*",
    _FLAGS,
)
SUGGESTION = re.compile(
    r"(?:(?:i|we)(?:['’]d| would)? (?:suggest|propose|recommend|go with|choose)"
    r"|my suggestion(?: is)?"
    r"|how about)(?:\s*:\s*|\s+(?=[\"“«„]))"
    r"|(?:(?:this|the) (?:chat|conversation)|it|this) (?:could|can|might|may|should|would) be "
    r"(?:titled|called|named|entitled):?\s+",
    _FLAGS,
)
HERE = re.compile(r"(?:here (?:you go|it is)|voilà|bitte(?: sehr)?)[\s!.:]*", _FLAGS)
EXCUSE = re.compile(
    r"(?:(?:i['’]?m|i am|we['’]?re|we are)\s+(?:(?:so|very|really|truly)\s+)?sorry\b|sorry,"
    r"|my apologies"
    r"|i apologi[sz]e|apologies,|unfortunately,|as an? (?:ai|language model)\b"
    r"|i(?: ?['’]m| am) (?:unable|not able)\b"
    r"|i (?:can['’]?t|cannot|can not|won['’]?t|will not|could not|couldn['’]t|do not|don['’]t) "
    r"(?:\w+ ){0,3}?(?:help|assist|creat|generat|provid|writ|fulfil|comply|do (?:that|this)|mak|giv"
    r"|produc|continu|discuss|answer|respond|titl|summari|have enough|see (?:a|the|any)|understand)"
    r"|please (?:provide|share|paste|give|tell|send)|could you (?:please )?(?:provide|share|give)"
    r"|there is (?:no|not enough)\b|not enough (?:context|information)|no (?:conversation|content) "
    r"|es tut mir leid|tut mir leid|entschuldigung|leider (?:kann|ist)|ich kann (?:dir|ihnen|das"
    r"|dabei|keine)"
    r"|(?:je suis )?désolée?\b|je ne peux pas|lo siento|no puedo (?:ayudar|proporcionar|generar"
    r"|crear)"
    r"|desculpe|sinto muito|não posso (?:ajudar|fornecer|gerar|criar)|mi dispiace"
    r"|non posso (?:aiutar|fornire)"
    r"|извините|простите|к сожалению|я не могу|het spijt me|sorry, |przykro mi|przepraszam|üzgünüm"
    r"|抱歉|对不起|對不起|很抱歉|非常抱歉|我无法|我無法|作为一个|申し訳|すみません|죄송|미안)",
    _FLAGS,
)
NOTHING = re.compile(
    rf"(?:no title(?: found)?|untitled(?: chat| conversation)?|none|n/?a|null|nil|undefined"
    rf"|{_TITLE}|chat|sure|ok|okay|yes|no"
    r"|new chat|conversation|new conversation"
    r"|empty|\[?title\]?|<title>|your title here|insert title here|the conversation|ohne titel"
    r"|sans titre"
    r"|无标题|無題|无|제목 없음)",
    _FLAGS,
)
THINKING_ALOUD = re.compile(
    r"(?:(?:okay|ok|alright|hmm+|hm|well|so|first|now|right|let me see)\b[,.…]*\s*"
    r"(?:so\s+)?(?:the|this|i|we|let['’]?s?|user|here)\b"
    r"|the user(?:['’]s)? (?:is|was|has|wants?|asks?|asked|said|says|just|needs?|would|message"
    r"|question|query|gave|greet|start|provid|initiat|seems)|the conversation (?:is|was)"
    r"|(?:i|we) (?:need|should|have|must|will|am asked|['’]ll)\s+(?:to\s+)?(?:write|create|come up"
    r"|generate|make a|summar|think|find|produce|give|provide|craft|output|title)"
    r"|(?:user|human)\s*:"
    r"|let me (?:think|see|analy|look|start|summari|consider|come)|let['’]s (?:think|see|analy"
    r"|craft|come)"
    r"|write a title|two to six words|用户|用戶|嗯|首先)",
    _FLAGS,
)
BEFORE = re.compile(
    r"\s*(?:>+\s*|#{1,6}(?=\s)\s*|[-*+•‣▪–—]\s+|\(?\d{1,2}[.)、]\s*(?!\d)|\(?[a-e][.)]\s+)+"
)
# Matches only at the start of a run of marks; otherwise a line of them would take hours.
EMPHASIS = re.compile(
    r"((?<!\*)\*{1,3}|(?<!\w)_{1,3}|(?<!`)`+|~~)(?=\S)(.{1,80}?)(?<=\S)\1(?!\w|\.\w)"
)
LINK = re.compile(r"!?\[([^\[\]]+)\]\([^()\s]*\)")
TAG = re.compile(
    r"</?(?:b|i|u|p|em|strong|code|span|div|h[1-6]|title|answer|output|final)>", _FLAGS
)
NOTE = re.compile(
    r"\s*[(（\[]\s*\d+\s*(?:words?|characters?|wörter|mots|palabras|字|語|단어)\s*[)）\]]\s*$",
    _FLAGS,
)
QUOTES = (
    ('"', '"'), ("'", "'"), ("“", "”"), ("„", "“"), ("„", "”"), ("”", "”"), ("‘", "’"), ("‚", "‘"),
    ("«", "»"), ("»", "«"), ("‹", "›"), ("「", "」"), ("『", "』"), ("《", "》"),
    ("〈", "〉"), ("【", "】"),
    ("＂", "＂"), ("`", "`"), ("[", "]"), ("<", ">"), ("``", "''"),
)  # fmt: skip
QUOTED = re.compile(r'"([^"]+)"|“([^“”]+)”|„([^„“”]+)[“”]|«([^«»]+)»|「([^「」]+)」|《([^《》]+)》')
OPENED = re.compile(r"\*+|_{2,}|`+|~~")
