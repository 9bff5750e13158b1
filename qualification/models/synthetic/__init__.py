"""How is a real model of random values made, so that speed and memory can be measured without it?

Made here, cached, never downloaded: the files load through the same loaders, processors and chat
templates as the real ones and cost the same time and memory; the answers are noise. May import
``core`` and the rest of ``models``. Start with ``cache``.
"""
