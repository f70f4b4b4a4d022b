//! The agent's image, as an archive that container runtimes load.
//!
//! An image is a static executable and a few documents about it: no image builder is needed, and the same executables make the same
//! image.

use std::io::{self, Write};

use object::{
    Endianness,
    elf::{EM_AARCH64, EM_X86_64, FileHeader64, PT_INTERP},
    read::elf::{FileHeader as _, ProgramHeader as _},
};
use oci_spec::{
    OciSpecError,
    distribution::{ParseError, Reference},
    image::{
        Arch, ConfigBuilder, Descriptor, ImageConfigurationBuilder, ImageIndexBuilder, ImageManifestBuilder,
        MediaType, OciLayoutBuilder, Os, PlatformBuilder, RootFsBuilder, Sha256Digest,
    },
};
use sha2::{Digest as _, Sha256};

/// What the executable is called in the image.
const PROGRAM: &str = "chaos-agent";

/// Where an archive says what it is called: to OCI's tools, and to containerd.
const TAG: &str = "org.opencontainers.image.ref.name";
const NAME: &str = "io.containerd.image.name";

/// A static executable for Linux.
#[derive(Clone, Debug)]
pub struct Executable {
    architecture: Arch,
    bytes: Vec<u8>,
}

/// Why a file cannot be the agent of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsuitable {
    /// It is something else.
    #[error("it is not an executable of Linux with 64 bits")]
    NotElf,
    /// The processor is another one.
    #[error("it is for another processor than amd64 and arm64")]
    Processor,
    /// It needs libraries that the image does not have.
    #[error("it needs a dynamic linker, and the image holds nothing but the executable")]
    Dynamic,
}

/// Why an archive cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The name is not one of an image.
    #[error("`{name}` is not the name of an image: {why}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: ParseError,
    },
    /// Two executables are for the same processor.
    #[error("two executables are for {0}")]
    Twice(String),
    /// There is no executable.
    #[error("an image needs an executable")]
    Empty,
    /// A document of the image cannot be made.
    #[error(transparent)]
    Document(#[from] OciSpecError),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] io::Error),
}

impl Executable {
    /// Takes an executable, and reads from it which processor it is for.
    ///
    /// # Errors
    /// It is something else, or would not run without libraries.
    pub fn new(bytes: Vec<u8>) -> Result<Self, Unsuitable> {
        let header = FileHeader64::<Endianness>::parse(bytes.as_slice()).map_err(|_| Unsuitable::NotElf)?;
        let endian = header.endian().map_err(|_| Unsuitable::NotElf)?;
        let architecture = match header.e_machine(endian) {
            EM_X86_64 => Arch::Amd64,
            EM_AARCH64 => Arch::ARM64,
            _ => return Err(Unsuitable::Processor),
        };
        let segments = header.program_headers(endian, bytes.as_slice()).map_err(|_| Unsuitable::NotElf)?;
        // Libraries alone, without an executable, have no entry.
        if header.e_entry(endian) == 0 {
            return Err(Unsuitable::NotElf);
        }
        if segments.iter().any(|segment| segment.p_type(endian) == PT_INTERP) {
            return Err(Unsuitable::Dynamic);
        }
        Ok(Executable { architecture, bytes })
    }

    /// Returns which processor it is for, in the words of container images: `amd64` or `arm64`.
    pub fn architecture(&self) -> String {
        self.architecture.to_string()
    }
}

/// Writes an OCI archive with an image of this name: one for each of the executables, under one index where they are several. Returns
/// the name as container runtimes write it out.
///
/// # Errors
/// It is not the name of an image, two executables are for the same processor, or the archive cannot be written.
pub fn write(name: &str, executables: &[Executable], out: impl Write) -> Result<String, ImageError> {
    let reference = parsed(name)?;
    let name = reference.whole();
    for (index, executable) in executables.iter().enumerate() {
        if executables.iter().take(index).any(|other| other.architecture == executable.architecture) {
            return Err(ImageError::Twice(executable.architecture()));
        }
    }
    let mut archive = Archive { tar: tar::Builder::new(out) };
    let mut images = Vec::new();
    for executable in executables {
        images.push(archive.image(executable)?);
    }
    let mut described = match images.as_slice() {
        [] => return Err(ImageError::Empty),
        [image] => image.clone(),
        _ => {
            let index = ImageIndexBuilder::default()
                .schema_version(2u32)
                .media_type(MediaType::ImageIndex)
                .manifests(images)
                .build()?;
            archive.blob(MediaType::ImageIndex, index.to_string()?.as_bytes())?
        }
    };
    let tag = reference.tag().unwrap_or("latest").to_owned();
    described.set_annotations(Some([(TAG.into(), tag), (NAME.into(), name.clone())].into()));
    let index = ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests([described])
        .build()?;
    archive.file("index.json", index.to_string()?.as_bytes())?;
    let layout = OciLayoutBuilder::default().image_layout_version("1.0.0").build()?;
    archive.file("oci-layout", layout.to_string()?.as_bytes())?;
    archive.tar.into_inner()?.flush()?;
    Ok(name)
}

/// Returns a name as container runtimes write it out, with registry and tag.
pub(crate) fn whole(name: &str) -> Result<String, ImageError> {
    parsed(name).map(|reference| reference.whole())
}

fn parsed(name: &str) -> Result<Reference, ImageError> {
    name.parse().map_err(|why| ImageError::Name { name: name.to_owned(), why })
}

struct Archive<W: Write> {
    tar: tar::Builder<W>,
}

impl<W: Write> Archive<W> {
    /// Adds the image of one executable.
    fn image(&mut self, executable: &Executable) -> Result<Descriptor, ImageError> {
        let mut layer = tar::Builder::new(Vec::new());
        add(&mut layer, PROGRAM, 0o755, &executable.bytes)?;
        let layer = self.blob(MediaType::ImageLayer, &layer.into_inner()?)?;
        let config = ImageConfigurationBuilder::default()
            .architecture(executable.architecture.clone())
            .os(Os::Linux)
            .config(ConfigBuilder::default().entrypoint([format!("/{PROGRAM}")]).build()?)
            // The layer is not compressed, so its content has the same digest.
            .rootfs(RootFsBuilder::default().diff_ids([layer.digest().to_string()]).build()?)
            .build()?;
        let config = self.blob(MediaType::ImageConfig, config.to_string()?.as_bytes())?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(2u32)
            .media_type(MediaType::ImageManifest)
            .config(config)
            .layers([layer])
            .build()?;
        let mut described = self.blob(MediaType::ImageManifest, manifest.to_string()?.as_bytes())?;
        let platform =
            PlatformBuilder::default().architecture(executable.architecture.clone()).os(Os::Linux).build()?;
        described.set_platform(Some(platform));
        Ok(described)
    }

    /// Adds content under its digest.
    fn blob(&mut self, kind: MediaType, content: &[u8]) -> Result<Descriptor, ImageError> {
        let hex: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        self.file(&format!("blobs/sha256/{hex}"), content)?;
        let digest: Sha256Digest = hex.parse()?;
        Ok(Descriptor::new(kind, content.len() as u64, digest))
    }

    fn file(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        add(&mut self.tar, path, 0o644, content)
    }
}

/// Adds a file of root's, without a time: the same content makes the same archive.
fn add(tar: &mut tar::Builder<impl Write>, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, path, content)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read as _};

    use object::elf::{EM_PPC64, Machine, PT_LOAD, ProgramType};
    use serde_json::Value;

    use super::*;

    /// The header of an executable for this processor, with one segment of this type.
    fn elf(machine: Machine, segment: ProgramType) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        bytes.extend(2u16.to_le_bytes());
        bytes.extend(machine.0.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        // Where it begins, and where its segments and sections are described.
        for at in [0x40_0000u64, 64, 0] {
            bytes.extend(at.to_le_bytes());
        }
        bytes.extend(0u32.to_le_bytes());
        // Sizes and numbers of the header, of segments and of sections.
        for number in [64u16, 56, 1, 64, 0, 0] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(segment.0.to_le_bytes());
        bytes.resize(64 + 56, 0);
        bytes
    }

    fn executable(machine: Machine) -> Executable {
        Executable::new(elf(machine, PT_LOAD)).unwrap()
    }

    /// The files of an archive; each blob has to have the digest that it is called by.
    fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            if let Some(digest) = path.strip_prefix("blobs/sha256/") {
                let own: String = Sha256::digest(&content).iter().map(|b| format!("{b:02x}")).collect();
                assert_eq!(digest, own);
            }
            found.insert(path, content);
        }
        found
    }

    /// Follows a descriptor to the document that it describes.
    fn follow(files: &BTreeMap<String, Vec<u8>>, descriptor: &Value) -> Vec<u8> {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let content = files[&format!("blobs/sha256/{digest}")].clone();
        assert_eq!(descriptor["size"], content.len());
        content
    }

    fn json(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn an_archive_leads_from_its_index_to_the_executable() {
        let mut archive = Vec::new();
        let name = write("chaos-agent", &[executable(EM_X86_64)], &mut archive).unwrap();
        // As container runtimes complete it.
        assert_eq!(name, "docker.io/library/chaos-agent:latest");
        let files = files(&archive);
        assert_eq!(json(&files["oci-layout"])["imageLayoutVersion"], "1.0.0");
        let index = json(&files["index.json"]);
        let described = &index["manifests"][0];
        assert_eq!(described["annotations"][NAME], name);
        assert_eq!(described["annotations"][TAG], "latest");
        let manifest = json(&follow(&files, described));
        let config = json(&follow(&files, &manifest["config"]));
        assert_eq!((&config["architecture"], &config["os"]), (&"amd64".into(), &"linux".into()));
        assert_eq!(config["config"]["Entrypoint"][0], "/chaos-agent");
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
        let layer = follow(&files, &manifest["layers"][0]);
        let mut layer = tar::Archive::new(layer.as_slice());
        let program = layer.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(program.path().unwrap().to_str(), Some("chaos-agent"));
        assert_eq!(program.header().mode().unwrap(), 0o755);
    }

    #[test]
    fn several_processors_are_one_image_with_an_index() {
        let both = [executable(EM_X86_64), executable(EM_AARCH64)];
        let mut archive = Vec::new();
        let name = write("example.com/tools/agent:7", &both, &mut archive).unwrap();
        assert_eq!(name, "example.com/tools/agent:7");
        let files = files(&archive);
        let outer = json(&files["index.json"]);
        assert_eq!(outer["manifests"].as_array().map(Vec::len), Some(1));
        let index = json(&follow(&files, &outer["manifests"][0]));
        let of = |n: usize| index["manifests"][n]["platform"]["architecture"].clone();
        assert_eq!((of(0), of(1)), ("amd64".into(), "arm64".into()));
        for n in 0..2 {
            let manifest = json(&follow(&files, &index["manifests"][n]));
            assert_eq!(json(&follow(&files, &manifest["config"]))["architecture"], of(n));
        }
        let twice = [executable(EM_X86_64), executable(EM_X86_64)];
        let error = write("x", &twice, io::sink()).unwrap_err().to_string();
        assert_eq!(error, "two executables are for amd64");
    }

    #[test]
    fn what_would_not_run_in_a_pod_is_refused() {
        let refused = |bytes: Vec<u8>| Executable::new(bytes).unwrap_err();
        assert_eq!(refused(b"#!/bin/sh\n".to_vec()), Unsuitable::NotElf);
        assert_eq!(refused(Vec::new()), Unsuitable::NotElf);
        assert_eq!(refused(elf(EM_X86_64, PT_INTERP)), Unsuitable::Dynamic);
        assert_eq!(refused(elf(EM_PPC64, PT_LOAD)), Unsuitable::Processor);
        for name in ["", "Chaos", "a b", "x:"] {
            assert!(
                matches!(write(name, &[executable(EM_X86_64)], io::sink()), Err(ImageError::Name { .. })),
                "{name}"
            );
        }
        assert!(matches!(write("x", &[], io::sink()), Err(ImageError::Empty)));
    }
}
