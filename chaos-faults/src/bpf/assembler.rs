//! Mnemonics and labels in, BPF instructions out.
//!
//! Only what the programs of this crate need: 64-bit and 32-bit arithmetic, loads and stores, compare-and-jump, calls of
//! helpers. Jumps lead forward or backward to a [`Label`]; a label that was never placed is an error, not a panic.

use super::BpfError;

/// A register; `R10` is the read-only frame pointer, `R6`–`R9` survive calls of helpers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "registers are named by number")]
pub enum Register {
    R0 = 0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

/// A helper that the kernel offers to programs (`enum bpf_func_id`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Helper {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    KtimeGetNs = 5,
    /// A random 32-bit number.
    GetPrandomU32 = 7,
    /// Sends a copy of the packet to an interface.
    CloneRedirect = 13,
    /// Makes the program's return value send the packet to an interface.
    Redirect = 23,
    /// Copies bytes of the packet, counted from the start of the frame.
    SkbLoadBytes = 26,
    /// Copies bytes of the packet, counted from the link or the network header.
    SkbLoadBytesRelative = 68,
}

/// Width of a load or store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "widths speak for themselves")]
pub enum Width {
    Word = 0x00,
    Half = 0x08,
    Byte = 0x10,
    Double = 0x18,
}

/// A condition of a jump that compares the lower 32 bits, unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Condition {
    /// Equal.
    Equal = 0x10,
    /// Not equal.
    NotEqual = 0x50,
    /// Greater.
    Greater = 0x20,
    /// Greater or equal.
    AtLeast = 0x30,
    /// Less.
    Less = 0xa0,
}

/// Arithmetic on a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "operations speak for themselves")]
pub enum Operation {
    Add = 0x00,
    Subtract = 0x10,
    Or = 0x40,
    And = 0x50,
    ShiftLeft = 0x60,
    ShiftRight = 0x70,
}

/// A place in a program that jumps can name before it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label(usize);

/// A program under construction.
#[derive(Debug, Default)]
pub struct Assembler {
    code: Vec<u64>,
    jumps: Vec<(usize, Label)>,
    labels: Vec<Option<usize>>,
}

const ALU64: u8 = 0x07;
const ALU32: u8 = 0x04;
const JUMP32: u8 = 0x06;
const JUMP64: u8 = 0x05;
const REGISTER: u8 = 0x08;

impl Assembler {
    /// Returns an empty program.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a label that is not yet anywhere.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Puts a label before the next instruction.
    pub fn place(&mut self, label: Label) -> &mut Self {
        if let Some(place) = self.labels.get_mut(label.0) {
            *place = Some(self.code.len());
        }
        self
    }

    /// Returns the number of instruction slots so far.
    pub fn len(&self) -> usize {
        self.code.len()
    }

    /// Returns whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.code.is_empty()
    }

    fn emit(&mut self, code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> &mut Self {
        self.code.push(
            u64::from(code)
                | u64::from(to | from << 4) << 8
                | u64::from(offset.cast_unsigned()) << 16
                | u64::from(immediate.cast_unsigned()) << 32,
        );
        self
    }

    /// Sets a register to a sign-extended number.
    pub fn set(&mut self, to: Register, value: i32) -> &mut Self {
        self.emit(0xb0 | ALU64, to as u8, 0, 0, value)
    }

    /// Sets a register to a 32-bit number, upper half zero.
    pub fn set_u32(&mut self, to: Register, value: u32) -> &mut Self {
        self.emit(0xb0 | ALU32, to as u8, 0, 0, value.cast_signed())
    }

    /// Sets a register to a 64-bit number; takes two slots.
    pub fn set_u64(&mut self, to: Register, value: u64) -> &mut Self {
        self.emit(0x18, to as u8, 0, 0, (value as u32).cast_signed()).emit(
            0,
            0,
            0,
            0,
            ((value >> 32) as u32).cast_signed(),
        )
    }

    /// Sets a register to the address of byte `offset` of the first value of an array map; takes two slots.
    pub fn map_value(&mut self, to: Register, map: std::os::fd::RawFd, offset: u32) -> &mut Self {
        // 2 is BPF_PSEUDO_MAP_VALUE: no lookup at run time and no null to check for (Linux 5.2).
        self.emit(0x18, to as u8, 2, 0, map).emit(0, 0, 0, 0, offset.cast_signed())
    }

    /// Copies a register.
    pub fn copy(&mut self, to: Register, from: Register) -> &mut Self {
        self.emit(0xb0 | REGISTER | ALU64, to as u8, from as u8, 0, 0)
    }

    /// Computes on all 64 bits with a number.
    pub fn compute(&mut self, operation: Operation, to: Register, value: i32) -> &mut Self {
        self.emit(operation as u8 | ALU64, to as u8, 0, 0, value)
    }

    /// Computes on all 64 bits with a register.
    pub fn compute_with(&mut self, operation: Operation, to: Register, from: Register) -> &mut Self {
        self.emit(operation as u8 | REGISTER | ALU64, to as u8, from as u8, 0, 0)
    }

    /// Computes on the lower 32 bits with a number; the upper half becomes zero.
    pub fn compute_u32(&mut self, operation: Operation, to: Register, value: u32) -> &mut Self {
        self.emit(operation as u8 | ALU32, to as u8, 0, 0, value.cast_signed())
    }

    /// Computes on the lower 32 bits with a register; the upper half becomes zero.
    pub fn compute_u32_with(&mut self, operation: Operation, to: Register, from: Register) -> &mut Self {
        self.emit(operation as u8 | REGISTER | ALU32, to as u8, from as u8, 0, 0)
    }

    /// Loads from memory at `from + offset`.
    pub fn load(&mut self, width: Width, to: Register, from: Register, offset: i16) -> &mut Self {
        self.emit(0x61 | width as u8, to as u8, from as u8, offset, 0)
    }

    /// Stores a register to memory at `to + offset`.
    pub fn store(&mut self, width: Width, to: Register, offset: i16, from: Register) -> &mut Self {
        self.emit(0x63 | width as u8, to as u8, from as u8, offset, 0)
    }

    /// Adds a register to the 64-bit word at `to + offset`, atomically.
    pub fn atomic_add(&mut self, to: Register, offset: i16, from: Register) -> &mut Self {
        self.emit(0xdb, to as u8, from as u8, offset, 0)
    }

    /// `to = u16::from_be(to)`
    pub fn from_network_order(&mut self, to: Register) -> &mut Self {
        const TO_BIG_ENDIAN: u8 = 0xd0 | REGISTER;
        self.emit(ALU32 | TO_BIG_ENDIAN, to as u8, 0, 0, 16)
    }

    /// Jumps always.
    pub fn jump(&mut self, to: Label) -> &mut Self {
        self.jumps.push((self.code.len(), to));
        self.emit(JUMP64, 0, 0, 0, 0)
    }

    /// Jumps when the lower 32 bits of a register stand so to a number.
    pub fn jump_if(&mut self, condition: Condition, left: Register, right: u32, to: Label) -> &mut Self {
        self.jumps.push((self.code.len(), to));
        self.emit(condition as u8 | JUMP32, left as u8, 0, 0, right.cast_signed())
    }

    /// Jumps when all 64 bits of two registers stand so to each other, unsigned.
    pub fn jump_if_u64(
        &mut self,
        condition: Condition,
        left: Register,
        right: Register,
        to: Label,
    ) -> &mut Self {
        self.jumps.push((self.code.len(), to));
        self.emit(condition as u8 | REGISTER | JUMP64, left as u8, right as u8, 0, 0)
    }

    /// Calls a helper: arguments in `R1`–`R5`, which are lost, answer in `R0`.
    pub fn call(&mut self, helper: Helper) -> &mut Self {
        self.emit(0x85, 0, 0, 0, helper as i32)
    }

    /// Ends the program with `R0`.
    pub fn exit(&mut self) -> &mut Self {
        self.emit(0x95, 0, 0, 0, 0)
    }

    /// Resolves all jumps and returns the instructions.
    ///
    /// # Errors
    /// A label that is jumped to but was never placed, or one that is out of a jump's reach.
    pub fn finish(mut self) -> Result<Vec<u64>, BpfError> {
        let total = self.code.len();
        for (at, label) in self.jumps {
            let Some(Some(target)) = self.labels.get(label.0).copied() else {
                return Err(BpfError::LabelNotPlaced(label.0));
            };
            let distance = target as i64 - at as i64 - 1;
            let offset = i16::try_from(distance).map_err(|_| BpfError::JumpTooFar(total))?;
            self.code[at] |= u64::from(offset.cast_unsigned()) << 16;
        }
        Ok(self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::Register::{R0, R1};
    use super::*;

    #[test]
    fn encodes_as_the_kernel_documents() {
        let mut asm = Assembler::new();
        asm.set(R0, -1).exit();
        // BPF_MOV64_IMM(R0, -1), BPF_EXIT_INSN()
        assert_eq!(asm.finish().unwrap(), [0xffff_ffff_0000_00b7, 0x95]);
    }

    #[test]
    fn sixty_four_bit_numbers_take_two_slots() {
        let mut asm = Assembler::new();
        asm.set_u64(R1, 0x1122_3344_5566_7788);
        assert_eq!(asm.finish().unwrap(), [0x5566_7788_0000_0118, 0x1122_3344_0000_0000]);
    }

    #[test]
    fn jumps_are_counted_from_the_next_instruction() {
        let mut asm = Assembler::new();
        let (back, end) = (asm.label(), asm.label());
        asm.place(back).jump_if(Condition::Equal, R0, 7, end).jump(back).place(end).exit();
        let code = asm.finish().unwrap();
        assert_eq!((code[0] >> 16) as u16, 1);
        assert_eq!(((code[1] >> 16) as u16).cast_signed(), -2);
    }

    #[test]
    fn a_label_without_a_place_is_an_error() {
        let mut asm = Assembler::new();
        let nowhere = asm.label();
        asm.jump(nowhere).exit();
        assert!(matches!(asm.finish(), Err(BpfError::LabelNotPlaced(0))));
    }

    #[test]
    fn a_jump_out_of_reach_is_an_error() {
        let mut asm = Assembler::new();
        let end = asm.label();
        asm.jump(end);
        for _ in 0..40_000 {
            asm.set(R0, 0);
        }
        asm.place(end).exit();
        assert!(matches!(asm.finish(), Err(BpfError::JumpTooFar(40_002))));
    }
}
