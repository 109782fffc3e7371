from telic.adapters import ChatAdapter, JSONAdapter, XMLAdapter
from telic.testing._adapters import AdapterConformance


class TestChatAdapter(AdapterConformance):
    make_adapter = ChatAdapter


class TestJSONAdapter(AdapterConformance):
    make_adapter = JSONAdapter


class TestXMLAdapter(AdapterConformance):
    make_adapter = XMLAdapter
