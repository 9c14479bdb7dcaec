from graphc.parser import parse_program

program = parse_program("""
program main(%x: f32[4] feed) {
  %a = add(%x, %b) : f32[4]
  %b = neg(%a) : f32[4]
  fetch %b
}
""")
